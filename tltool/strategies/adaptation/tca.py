"""Transfer component analysis."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from tltool.backbones.base import Input, Net
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy
from tltool.strategies.closed_form import fit_linear, gather
from tltool.strategies.supervised import supervised

Kernel = Literal["linear", "rbf"]

# Of the largest eigenvalue: components below it are rounding errors of float64, and left out.
NEGLIGIBLE = 1e-10


class TCA(Strategy):
    """Directions of feature space in which both domains have one mean, and what varies is kept.

    The network learns the source, as in `strategy=source_only`. Then, with the kernel matrix K
    over N anchors, features of both domains, transfer components are

        max_W tr(W' K H K W)   where   W' (K L K + mu I) W = I

    with H centring, and ``W' K L K W`` the squared distances between the domains' means: the first
    eigenvectors of ``K H K w = l (K L K + mu I) w``, scaled so that every component has variance 1
    over the anchors. A linear layer on the source's components predicts: multinomial logistic
    regression, or ridge regression where labels are numbers. Any example's components are
    ``k(f(x), anchors) W``. Until they are fitted, the network and its own head predict.

    Kernels of features are scaled by the anchors, so that mu has one meaning: ``linear`` is
    ``a'b / mean |a|^2``, ``rbf`` is ``exp(-|a - b|^2 / median |a - b|^2)``.

    Batch: ``source.x``, ``source.y`` (B,); of ``target.x`` the features at the end.

    Args:
        dims: Components.
        mu: Weight of ``|W|^2`` against the distance of the means, above 0.
        kernel: See above.
        most: Anchors of each domain at most, drawn at random; time grows with its third power.
        decay: Weight decay of the regression, at least 0; its features have variance 1.

    References:
        [0] Pan et al., Domain adaptation via transfer component analysis, IEEE Transactions on
            Neural Networks 2011, the unsupervised one; on fixed features there.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")
    regression: ClassVar[bool] = True
    anchors: Tensor
    projection: Tensor
    offset: Tensor
    scale: Tensor
    fitted: Tensor

    def __init__(
        self,
        dims: int = 32,
        mu: float = 1.0,
        kernel: Kernel = "linear",
        most: int = 1000,
        decay: float = 0.01,
    ) -> None:
        super().__init__()
        if dims < 1:
            raise ValueError(f"dims must be at least 1, got {dims}")
        if mu <= 0:
            raise ValueError(f"mu must be above 0, got {mu}")
        if decay < 0:
            raise ValueError(f"decay must not be negative, got {decay}")
        if most < 2:
            raise ValueError(f"most must be at least 2, got {most}")
        self.dims, self.mu, self.kernel, self.most, self.decay = dims, mu, kernel, most, decay

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes room for anchors, projection and the layer on components."""
        count = sum(min(self.most, spec.sizes.get(role, 0)) for role in ("source", "target"))
        if self.dims > count:
            raise ValueError(f"dims must be at most {count}, the number of anchors: {self.dims}")
        self.register_buffer("anchors", torch.zeros(count, net.backbone.num_features))
        self.register_buffer("projection", torch.zeros(count, self.dims))
        self.register_buffer("offset", torch.zeros(self.dims))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self.classifier = nn.Linear(self.dims, spec.num_classes).requires_grad_(False)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification`` of the source."""
        return supervised(net, batch["source"])

    @torch.no_grad()
    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Finds the components and fits the layer on them."""
        source, y = gather(net, data, "source", self.most)
        target, _ = gather(net, data, "target", self.most)
        assert y is not None  # of the source
        anchors = torch.cat([source, target])
        # Examples without a label are no anchors: what is left of the room weighs nothing.
        self.anchors.zero_()[: len(anchors)] = anchors
        square = anchors.square().sum(1).mean() if self.kernel == "linear" else _median(anchors)
        self.scale.copy_(square)
        k = kernel_matrix(anchors, anchors, self.kernel, self.scale)
        w, offset = transfer_components(k, len(source), self.dims, self.mu)
        self.projection.zero_()[: len(anchors)] = w.to(self.projection)
        self.offset.copy_(offset)
        fit_linear(self.classifier, self.components(source), y, self.decay)
        self.fitted.fill_(True)

    def components(self, features: Tensor) -> Tensor:
        """Returns the components ``(B, dims)`` of features ``(B, D)``."""
        # Not in half precision: many small weights add up.
        with torch.autocast(features.device.type, enabled=False):
            k = kernel_matrix(features.float(), self.anchors, self.kernel, self.scale)
            return k @ self.projection - self.offset

    def features(self, net: Net, x: Input) -> Tensor:
        """Returns the components ``(B, dims)``; before they are found, the features ``(B, D)``."""
        features = net.features(x)
        return self.components(features) if self.fitted else features

    def logits(self, net: Net, features: Tensor) -> Tensor:
        """Returns logits ``(B, C)`` of what `features` returns."""
        logits: Tensor = (self.classifier if self.fitted else net.head)(features)
        return logits


def kernel_matrix(a: Tensor, b: Tensor, kernel: Kernel, scale: Tensor) -> Tensor:
    """Returns ``k(a_i, b_j)``, ``(A, B)``: ``a'b / scale``, or ``exp(-|a - b|^2 / scale)``."""
    if kernel == "linear":
        return a @ b.T / scale
    return torch.exp(-torch.cdist(a, b).square() / scale)


def transfer_components(k: Tensor, source: int, dims: int, mu: float) -> tuple[Tensor, Tensor]:
    """Returns W ``(N, dims)`` and the mean of ``K W`` ``(dims,)``, float64 on the CPU.

    Args:
        k: Kernel matrix K ``(N, N)`` over the source's anchors, then the target's.
        source: How many are the source's.
        dims: Components, at most N.
        mu: See `TCA`.
    """
    from scipy.linalg import eigh

    k = k.double().cpu()
    count = len(k)
    sign = torch.full((count,), -1.0 / (count - source), dtype=k.dtype)
    sign[:source] = 1.0 / source
    apart = k @ sign  # L is the outer product of `sign` with itself
    centred = k - k.mean(dim=0)
    kept = centred.T @ centred
    limit = torch.outer(apart, apart) + mu * torch.eye(count, dtype=k.dtype)
    _, found = eigh(kept.numpy(), limit.numpy(), subset_by_index=[count - dims, count - 1])
    w = torch.from_numpy(found).flip(1)
    spread = (centred @ w).square().mean(dim=0)
    w = w * torch.where(spread > NEGLIGIBLE * spread.max(), spread.rsqrt(), 0.0)
    return w, (k @ w).mean(dim=0)


def _median(x: Tensor) -> Tensor:
    """Returns the median squared distance of two different rows."""
    return torch.pdist(x).square().median()
