"""What entropy minimisation adds to the source's loss."""

import math

import pytest
import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.strategies.adaptation.entropy import Entropy
from tltool.strategies.pairs import Pair

NET = Net(LeNet(), 2)  # not looked at


def term(target_logits: Tensor, trade_off: float = 1.0) -> Tensor:
    size = target_logits.shape
    source = torch.zeros(size, requires_grad=True)
    y = torch.zeros(size[0], dtype=torch.int64)
    pair = Pair(torch.zeros(size), torch.zeros(size), source, target_logits, y, {})
    return Entropy(trade_off).transfer(NET, pair, 0.5).terms["entropy"]


def test_the_entropy_by_hand() -> None:
    # p = (3/4, 1/4): 3/4 log 4/3 + 1/4 log 4 = 0.562335; p = (1/2, 1/2): log 2 = 0.693147
    logits = torch.tensor([[math.log(3.0), 0.0], [5.0, 5.0]])
    assert term(logits).item() == pytest.approx((0.562335 + 0.693147) / 2, abs=1e-6)
    assert term(logits, 0.1).item() == pytest.approx(0.1 * (0.562335 + 0.693147) / 2, abs=1e-6)


def test_its_gradient_flows_through_both_factors() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0]], requires_grad=True)
    term(logits).backward()  # type: ignore[no-untyped-call]
    # dH/dz_k = -p_k (log p_k + H): -3/4 (log 3/4 + 0.562335) = -0.205990, and its opposite
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.205990, 0.205990]]))


def test_it_is_zero_and_flat_where_the_network_is_sure() -> None:
    logits = torch.tensor([[1000.0, 0.0]], requires_grad=True)
    entropy = term(logits)
    entropy.backward()  # type: ignore[no-untyped-call]
    assert entropy.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="trade_off must not be negative, got -1"):
        Entropy(trade_off=-1.0)
