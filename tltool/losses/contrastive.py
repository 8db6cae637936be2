"""Figures of embeddings that are learned by comparing views."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def spread(z: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """Returns ``sqrt(d) * mean_j std_i(z_ij / |z_i|)``: how far embeddings are from a collapse.

    0 where all embeddings are the same, about 1 where their directions are spread evenly.

    References:
        [0] Chen & He, Exploring simple Siamese representation learning, CVPR 2021, section 4.1.
    """
    deviation: Tensor = F.normalize(z, dim=1).std(dim=0).mean()
    return deviation * math.sqrt(z.shape[1])
