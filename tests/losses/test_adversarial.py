import math

import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.adversarial import (
    domain_loss,
    entropy_weights,
    gradient_reversal,
    multilinear,
    random_multilinear,
    reversal_coefficient,
    unknown_loss,
)

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


def test_weighted_domain_loss_by_hand():
    # source: (2 log 2 + 0 log 4/3) / 2 = log 2; target: (3 log 4/3) / 1
    # (0.693147 + 0.863046) / 2 = 0.778097
    source, target = torch.tensor([0.0, LOG3]), torch.tensor([-LOG3])
    weights = torch.tensor([2.0, 0.0]), torch.tensor([3.0])
    loss, accuracy = domain_loss(source, target, *weights)
    assert loss.item() == pytest.approx(0.778097, abs=1e-6)
    assert accuracy.item() == 0.75  # as without weights
    plain, _ = domain_loss(source, target)
    torch.testing.assert_close(domain_loss(source, target, torch.ones(2))[0], plain)


def test_an_example_of_weight_zero_has_no_gradient():
    source = torch.tensor([0.0, LOG3], requires_grad=True)
    domain_loss(source, torch.zeros(1), torch.tensor([2.0, 0.0]))[0].backward()
    torch.testing.assert_close(source.grad, torch.tensor([-0.25, 0.0]))  # -2 * 0.5 / (2 * 2)


def test_entropy_weights_by_hand():
    # Two equal logits: H = log 2, 1 + exp(-H) = 1.5. One sure of its class: H = 0, 2. Mean 1.75.
    logits = torch.tensor([[0.0, 0.0], [100.0, 0.0]], requires_grad=True)
    weights = entropy_weights(logits)
    torch.testing.assert_close(weights, torch.tensor([1.5, 2.0]) / 1.75)
    assert not weights.requires_grad
    # Three classes that cannot be told apart: all weigh the same, whatever H is.
    torch.testing.assert_close(entropy_weights(torch.zeros(4, 3)), torch.ones(4))


def test_multilinear_by_hand():
    f, p = torch.tensor([[2.0, 3.0]]), torch.tensor([[0.5, 0.25, 0.25]])
    found = multilinear(f, p)
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.5, 0.5, 1.5, 0.75, 0.75]]))


def test_the_random_map_by_hand():
    f, p = torch.tensor([[2.0, 3.0]]), torch.tensor([[0.5, 0.5]])
    of_features = torch.tensor([[1.0, 0.0, -1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    of_classes = torch.tensor([[2.0, 4.0, 6.0, 8.0], [0.0, 0.0, 0.0, 0.0]])
    # f R_f = (5, 3, -2, 0), p R_p = (1, 2, 3, 4); their products over sqrt(4)
    found = random_multilinear(f, p, of_features, of_classes)
    torch.testing.assert_close(found, torch.tensor([[2.5, 3.0, -3.0, 0.0]]))


def test_the_random_map_keeps_inner_products():
    torch.manual_seed(0)
    f, p = torch.randn(2, 5), torch.randn(2, 3).softmax(dim=1)
    matrices = torch.randn(5, 200_000), torch.randn(3, 200_000)
    one, other = random_multilinear(f, p, *matrices)
    exact = multilinear(f, p)
    assert (one @ other).item() == pytest.approx((exact[0] @ exact[1]).item(), abs=0.02)
    assert (one @ one).item() == pytest.approx((exact[0] @ exact[0]).item(), rel=0.02)


def test_unknown_loss_by_hand():
    # softmax of (0, log 3, log 4): (1, 3, 4) / 8, u = 1/2
    logits = torch.tensor([[0.0, LOG3, math.log(4.0)]])
    assert unknown_loss(logits, 0.5).item() == pytest.approx(math.log(2.0))
    # u = 1/4 of (1, 2, 1): -0.1 log 1/4 - 0.9 log 3/4 = 0.138629 + 0.258914
    logits = torch.tensor([[0.0, math.log(2.0), 0.0]])
    assert unknown_loss(logits, 0.1).item() == pytest.approx(0.397543, abs=1e-6)


@pytest.mark.parametrize(("last", "sign"), [(0.0, -1), (math.log(2.0), 0), (2.0, 1)])
def test_unknown_loss_pulls_the_probability_to_the_threshold(last, sign):
    # Two known classes at 0: u = 1/2 where the last logit is log 2.
    logits = torch.tensor([[0.0, 0.0, last]], requires_grad=True)
    unknown_loss(logits, 0.5).backward()
    gradient = logits.grad[0, -1].item()
    assert abs(gradient) < 1e-7 if sign == 0 else gradient * sign > 0.05


def test_unknown_loss_stays_finite():
    logits = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]], requires_grad=True)
    loss = unknown_loss(logits, 0.5)
    loss.backward()
    assert loss.item() == 500.0 and logits.grad.isfinite().all()
