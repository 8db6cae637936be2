import math

import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.adversarial import domain_loss, gradient_reversal, reversal_coefficient

LOG3 = math.log(3.0)  # sigmoid(log 3) = 3/4


def test_domain_loss_by_hand():
    # source: -log sigmoid(0) = log 2, -log sigmoid(log 3) = log 4/3
    # target: -log(1 - sigmoid(-log 3)) = log 4/3
    # ((log 2 + log 4/3) / 2 + log 4/3) / 2 = (0.693147 + 3 * 0.287682) / 4 = 0.389048
    loss, accuracy = domain_loss(torch.tensor([0.0, LOG3]), torch.tensor([-LOG3]))
    assert loss.item() == pytest.approx(0.389048, abs=1e-6)
    # source: one of two is above 0; target: one of one is not
    assert accuracy.item() == 0.75


def test_domain_loss_gradient_by_hand():
    source = torch.tensor([0.0, LOG3], requires_grad=True)
    target = torch.tensor([-LOG3], requires_grad=True)
    loss, accuracy = domain_loss(source, target)
    loss.backward()
    # source: -(1 - sigmoid(d)) / (2 * 2 examples) = -0.5 / 4 and -0.25 / 4
    # target: sigmoid(d) / (2 * 1 example) = 0.25 / 2
    torch.testing.assert_close(source.grad, torch.tensor([-0.125, -0.0625]))
    torch.testing.assert_close(target.grad, torch.tensor([0.125]))
    assert not accuracy.requires_grad


def test_a_discriminator_that_knows_nothing_loses_log_2():
    loss, accuracy = domain_loss(torch.zeros(3), torch.zeros(5))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-7)
    assert accuracy.item() == 0.5


def test_extreme_logits_stay_finite():
    right, _ = domain_loss(torch.tensor([1000.0]), torch.tensor([-1000.0]))
    wrong, accuracy = domain_loss(torch.tensor([-1000.0]), torch.tensor([1000.0]))
    assert (right.item(), wrong.item(), accuracy.item()) == (0.0, 1000.0, 0.0)


def test_both_domains_weigh_the_same_whatever_their_sizes():
    one, _ = domain_loss(torch.full((1,), 2.0), torch.full((1,), 1.0))
    many, _ = domain_loss(torch.full((9,), 2.0), torch.full((4,), 1.0))
    torch.testing.assert_close(one, many)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (torch.zeros(4, 1), torch.zeros(4)),
        (torch.zeros(4), torch.zeros(4, 2)),
        (torch.zeros(4, dtype=torch.int64), torch.zeros(4)),
    ],
)
def test_domain_loss_takes_one_real_logit_an_example(source, target):
    with pytest.raises(TypeCheckError):
        domain_loss(source, target)


@pytest.mark.parametrize("coefficient", [0.0, 0.25, 1.0])
def test_gradient_reversal_multiplies_the_gradient_by_minus_the_coefficient(coefficient):
    x = torch.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
    weights = torch.tensor([[4.0, 8.0], [-16.0, 1.0]])
    y = gradient_reversal(x, coefficient)
    assert torch.equal(y, x)
    (y * weights).sum().backward()
    assert torch.equal(x.grad, -coefficient * weights)  # powers of two: exact


def test_gradient_reversal_takes_a_batch_of_vectors():
    with pytest.raises(TypeCheckError):
        gradient_reversal(torch.zeros(4), 1.0)


def test_reversal_coefficient_by_hand():
    # 2 / (1 + exp(-10 p)) - 1 = tanh(5 p)
    assert reversal_coefficient(0.0) == 0.0
    assert reversal_coefficient(0.5) == pytest.approx(0.98661430, abs=1e-8)  # tanh(2.5)
    assert reversal_coefficient(1.0) == pytest.approx(0.99990920, abs=1e-8)  # tanh(5)
    # gamma 2 log 3: 2 / (1 + 1/3) - 1 at p = 0.5
    assert reversal_coefficient(0.5, gamma=2 * LOG3) == pytest.approx(0.5)
