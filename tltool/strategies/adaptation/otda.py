"""Optimal transport for domain adaptation."""

import warnings
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy
from tltool.strategies.closed_form import fit_linear, gather, linear_head
from tltool.strategies.supervised import supervised


class OTDA(Strategy):
    """The source's features are moved onto the target's, and the head is fitted there.

    The network learns the source, as in `strategy=source_only`. Then, on features of both domains,

        P = argmin <P, M> + R(P),   M_ij = |f(x_si) - f(x_tj)|^2 / max M,
        f~_i = sum_j P_ij f(x_tj) / sum_j P_ij                      (barycentric mapping)

    over plans P with equal weights of all examples, and the head is fitted to the pairs
    ``(f~_i, y_i)`` by multinomial logistic regression. It replaces the trained one, for source
    examples too: what is scored on them is how a classifier of the target does there.

    ``emd`` has R = 0. ``sinkhorn`` has ``R(P) = reg sum P log P``, and ``sinkhorn_lpl1`` adds
    ``class_reg * sum_j sum_c (sum_{i in c} P_ij)^(1/2)``, by which a target example takes its
    mass from few classes.

    Batch: ``source.x``, ``source.y`` (B,); of ``target.x`` the features at the end.

    Args:
        method: See above.
        reg: Weight of the plan's negative entropy, above 0, in units of the largest distance.
        class_reg: Weight of the class term, at least 0.
        most: Examples of each domain at most, drawn at random. Time grows with its square, and so
            does memory, times the number of classes for ``sinkhorn_lpl1``.
        decay: Weight decay of the regression, at least 0; its features have variance 1.

    References:
        [0] Courty et al., Optimal transport for domain adaptation, PAMI 2017; it fits a nearest
            neighbour on the moved features of a fixed network.
        [1] POT, `ot.da`, which computes plan and mapping.
    """

    feed: ClassVar[str] = "pair"
    needs: ClassVar[tuple[str, ...]] = ("ot",)
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")

    def __init__(
        self,
        method: Literal["sinkhorn_lpl1", "sinkhorn", "emd"] = "sinkhorn_lpl1",
        reg: float = 0.02,
        class_reg: float = 0.1,
        most: int = 1000,
        decay: float = 0.01,
    ) -> None:
        super().__init__()
        if reg <= 0:
            raise ValueError(f"reg must be above 0, got {reg}: method=emd has none")
        if class_reg < 0 or decay < 0:
            raise ValueError(
                f"class_reg and decay must not be negative, got {class_reg} and {decay}"
            )
        if most < 2:
            raise ValueError(f"most must be at least 2, got {most}")
        self.method, self.reg, self.class_reg = method, reg, class_reg
        self.most, self.decay = most, decay

    def build(self, net: Net, spec: DataSpec) -> None:
        """Looks whether the head can be fitted."""
        linear_head(net, "otda")

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification`` of the source."""
        return supervised(net, batch["source"])

    @torch.no_grad()
    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Moves the source's features and fits the head to them."""
        source, y = gather(net, data, "source", self.most)
        target, _ = gather(net, data, "target", self.most)
        assert y is not None  # of the source
        fit_linear(linear_head(net, "otda"), self.moved(source, y, target), y, self.decay)

    def moved(self, source: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Returns the source's features ``(S, D)`` where the plan puts them among the target's."""
        transport = self._transport()
        xs, labels, xt = (one.cpu().numpy() for one in (source.double(), y, target.double()))
        with warnings.catch_warnings():
            # A plan whose margins are not yet exact will do: the mapping divides by their sums.
            warnings.filterwarnings("ignore", "Sinkhorn did not converge")
            moved = transport.fit_transform(Xs=xs, ys=labels, Xt=xt)
        return torch.from_numpy(moved).to(source)

    def _transport(self) -> Any:
        import ot

        if self.method == "emd":
            return ot.da.EMDTransport(norm="max")
        if self.method == "sinkhorn":
            return ot.da.SinkhornTransport(reg_e=self.reg, norm="max", method="sinkhorn_log")
        return ot.da.SinkhornLpl1Transport(reg_e=self.reg, reg_cl=self.class_reg, norm="max")
