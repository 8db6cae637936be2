import math

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError

from tltool.losses.generalisation import (
    environment_means,
    environment_risks,
    exponentiated,
    irm_penalty,
    mixed_cross_entropy,
    risk_variance,
)

LOG3 = math.log(3.0)  # softmax of (log 3, 0) is (3/4, 1/4)
DOMAIN = torch.tensor([0, 1, 0])


def random_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 4, generator=generator, dtype=torch.double, requires_grad=True)
    return logits, torch.arange(12) % 4, torch.arange(12) % 3


def test_means_by_hand() -> None:
    values = torch.tensor([1.0, 5.0, 2.0])
    assert environment_means(values, DOMAIN, 2).tolist() == [1.5, 5.0]
    assert environment_means(values, DOMAIN, 3).tolist() == [1.5, 5.0, 0.0]  # one is not there


def test_risks_by_hand() -> None:
    # 0: log 2 and log 4/3 in turn; 1: log 4.
    logits = torch.tensor([[0.0, 0.0], [LOG3, 0.0], [LOG3, 0.0]])
    risks = environment_risks(logits, torch.tensor([1, 1, 0]), DOMAIN, 2)
    wanted = torch.tensor([0.5 * (math.log(2) + math.log(4 / 3)), math.log(4)])
    torch.testing.assert_close(risks, wanted)


def test_the_gradient_of_a_risk_stays_in_its_environment() -> None:
    logits, y, domain = random_batch()
    environment_risks(logits, y, domain, 3)[1].backward()
    moved = logits.grad.abs().sum(dim=1) > 0
    assert moved.tolist() == (domain == 1).tolist()


def test_irm_penalty_by_hand() -> None:
    # The slope of one example is sum_c p_c z_c - z_y. Uniform logits: 0. (log 3, 0): expected
    # 3/4 log 3; with label 0 it is -1/4 log 3, with label 1 it is 3/4 log 3.
    logits = torch.tensor([[0.0, 0.0], [LOG3, 0.0], [LOG3, 0.0]])
    penalty = irm_penalty(logits, torch.tensor([1, 1, 0]), DOMAIN, 2)
    first, second = (0.0 - LOG3 / 4) / 2, 3 * LOG3 / 4
    assert penalty.item() == pytest.approx((first**2 + second**2) / 2, abs=1e-6)


def test_irm_penalty_is_the_squared_gradient_of_a_scale() -> None:
    logits, y, domain = random_batch()
    logits = logits.detach().float().requires_grad_()
    slopes = []
    for e in range(3):
        scale = torch.ones((), requires_grad=True)
        risk = F.cross_entropy(scale * logits[domain == e], y[domain == e])
        slopes.append(torch.autograd.grad(risk, scale, create_graph=True)[0])
    plain = torch.stack(slopes).square().mean()
    ours = irm_penalty(logits, y, domain, 3)
    torch.testing.assert_close(ours, plain)
    gradients = [torch.autograd.grad(one, logits)[0] for one in (ours, plain)]
    assert gradients[0].abs().sum() > 0.01
    torch.testing.assert_close(*gradients)


def test_logits_that_no_scale_would_improve_have_no_irm_penalty() -> None:
    # (log 3, 0) is right in three of four cases, as its softmax says.
    logits = torch.tensor([[LOG3, 0.0]] * 4)
    assert irm_penalty(logits, torch.tensor([0, 0, 0, 1]), torch.zeros(4).long(), 1) < 1e-12


def test_variance_by_hand_and_its_gradient() -> None:
    risks = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    variance = risk_variance(risks)
    assert variance.item() == pytest.approx((4 + 1 + 9) / 3)
    variance.backward()
    torch.testing.assert_close(risks.grad, 2 / 3 * torch.tensor([-2.0, -1.0, 3.0]))
    assert risk_variance(torch.full((4,), 0.7)) == 0


def test_weights_grow_with_the_risk() -> None:
    # 0.5 exp(log 2) : 0.5 exp(0) is 2 : 1.
    weights = exponentiated(torch.tensor([0.5, 0.5]), torch.tensor([2.0, 0.0]), math.log(2) / 2)
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 1 / 3]))
    torch.testing.assert_close(exponentiated(weights, torch.tensor([9.0, 0.0]), 0.0), weights)
    extreme = exponentiated(weights, torch.tensor([0.0, 1e4]), 1.0)
    assert extreme.tolist() == [0.0, 1.0]
    assert exponentiated(extreme, torch.tensor([1.0, 1.0]), 1.0).tolist() == [0.0, 1.0]


def test_mixed_labels_by_hand() -> None:
    logits = torch.tensor([[LOG3, 0.0], [0.0, 0.0]], requires_grad=True)
    y, other, share = torch.tensor([0, 0]), torch.tensor([1, 0]), torch.tensor([0.25, 0.5])
    loss = mixed_cross_entropy(logits, y, other, share)
    # 1/4 log 4/3 + 3/4 log 4, and log 2.
    first = 0.25 * math.log(4 / 3) + 0.75 * math.log(4)
    assert loss.item() == pytest.approx((first + math.log(2)) / 2, abs=1e-6)
    loss.backward()  # softmax minus the mixture of both labels, over the batch
    wanted = torch.tensor([[0.75 - 0.25, 0.25 - 0.75], [0.5 - 1.0, 0.5]]) / 2
    torch.testing.assert_close(logits.grad, wanted)


def test_labels_are_one_of_each_example() -> None:
    with pytest.raises(TypeCheckError):
        environment_risks(torch.zeros(4, 2), torch.zeros(3).long(), torch.zeros(4).long(), 2)
    with pytest.raises(TypeCheckError):
        irm_penalty(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4).long(), 2)
