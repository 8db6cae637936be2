"""What keeps a fine-tuned network near the one that it started from."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

# Of the softmax over channels: Li et al., DELTA, in the authors' code.
ATTENTION_TEMPERATURE = 5.0


def flat(tensors: Iterable[Tensor]) -> Float[Tensor, " n"]:
    """Returns all elements of some tensors in one vector, each in its logical order.

    `torch.nn.utils.parameters_to_vector` refuses tensors that are laid out channels-last.
    """
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def l2_sp(w: Float[Tensor, " n"], start: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Returns ``|w - w0|^2 / 2``, half the squared distance from the starting point ``w0``."""
    return 0.5 * (w - start).square().sum()


def l2(w: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Returns ``|w|^2 / 2``, whose gradient is that of a weight decay of 1."""
    return 0.5 * w.square().sum()


def batch_spectral_shrinkage(features: Float[Tensor, "b d"], k: int) -> Float[Tensor, ""]:
    """Returns the sum of the ``k`` smallest squared singular values of a batch's features.

    There are ``min(b, d)`` of them; with a larger ``k`` all are summed: ``|features|^2``.
    """
    singular: Tensor = torch.linalg.svdvals(
        features.float()
    )  # in falling order; not for half precision
    return singular[-k:].square().sum()


def behaviour_distance(
    maps: Float[Tensor, "b c *p"],
    reference: Float[Tensor, "b c *p"],
    attention: Float[Tensor, " c"],
) -> Float[Tensor, ""]:
    """How far feature maps are from a reference's, channels weighted by attention.

    ``1/(2 b) sum_i sum_c a_c |m_ic - r_ic|^2 / P`` over c channels of P positions each.

    Args:
        maps: Of the network that learns.
        reference: Of the one that it started from.
        attention: Weights a of the channels, of sum 1. With equal ones half the mean square of an
            element is left.
    """
    squares = (maps.float() - reference.float()).square()
    by_channel = squares.reshape(*squares.shape[:2], -1).mean(dim=(0, 2))
    return 0.5 * (attention * by_channel).sum()


def channel_attention(importance: Float[Tensor, " c"]) -> Float[Tensor, " c"]:
    """Returns weights of channels, of sum 1: ``softmax((I - mean I) / (5 std I))``.

    Args:
        importance: I, what the loss gains from each channel; any scale. Equal ones weigh equally.
    """
    spread = importance.std(unbiased=False).clamp_min(1e-12)
    return F.softmax((importance - importance.mean()) / spread / ATTENTION_TEMPERATURE, dim=0)


def class_relationship(
    old: Float[Tensor, "n s"], y: Int[Tensor, " n"], classes: int
) -> Float[Tensor, "t s"]:
    """Returns ``p(old class | class)``: the mean prediction on the examples of each class.

    Args:
        old: Probabilities of the s old classes.
        y: Labels, in [0, classes).
        classes: How many there are; one without examples gets a row of zeros.
    """
    member = F.one_hot(y, classes).to(old)
    return member.T @ old / member.sum(dim=0).clamp_min(1)[:, None]
