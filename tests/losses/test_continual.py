import math

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError

from tltool.losses.continual import masked_cross_entropy, possible_only, quadratic_penalty

LOGITS = torch.tensor([[1.0, 2.0, 5.0], [0.0, 3.0, 1.0]])
CLASSES = torch.tensor([[True, True, False], [False, True, True]])


def test_impossible_classes_have_probability_zero():
    p = possible_only(LOGITS, CLASSES).softmax(dim=1)
    e = math.exp(1.0)
    assert p[0].tolist() == pytest.approx([1 / (1 + e), e / (1 + e), 0.0])
    assert p[1, 0] == 0.0


def test_masked_cross_entropy_by_hand():
    # log(1 + e^(1-2)) and log(1 + e^(3-1))
    wanted = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    assert masked_cross_entropy(LOGITS, torch.tensor([1, 2]), CLASSES).item() == (
        pytest.approx(wanted)
    )


def test_with_all_classes_possible_it_is_the_cross_entropy():
    y = torch.tensor([2, 0])
    every = torch.ones_like(CLASSES)
    assert torch.equal(masked_cross_entropy(LOGITS, y, every), F.cross_entropy(LOGITS, y))


def test_impossible_classes_get_a_gradient_of_zero():
    logits = LOGITS.clone().requires_grad_()
    masked_cross_entropy(logits, torch.tensor([0, 1]), CLASSES).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[~CLASSES] == 0).all() and (logits.grad[CLASSES] != 0).all()


def test_the_penalty_by_hand_with_its_half():
    theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    centre, precision = torch.tensor([0.0, 2.0, 5.0]), torch.tensor([4.0, 7.0, 0.5])
    loss = quadratic_penalty(theta, centre, precision)
    assert loss.item() == 0.5 * (4 * 1 + 7 * 0 + 0.5 * 4)
    loss.backward()
    assert theta.grad is not None
    assert theta.grad.tolist() == [4.0, 0.0, -1.0]  # precision (theta - centre)


def test_the_penalty_is_zero_at_the_centre_and_without_precision():
    theta = torch.randn(5)
    assert quadratic_penalty(theta, theta, torch.rand(5)) == 0
    assert quadratic_penalty(theta, torch.zeros(5), torch.zeros(5)) == 0


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (torch.zeros(3, dtype=torch.int64), CLASSES),
        (torch.zeros(2, dtype=torch.int64), CLASSES[:, :2]),
        (torch.zeros(2, dtype=torch.int64), CLASSES.float()),
    ],
)
def test_masked_cross_entropy_takes_a_label_and_a_mask_for_each_row(y, classes):
    with pytest.raises(TypeCheckError):
        masked_cross_entropy(LOGITS, y, classes)


def test_the_penalty_takes_vectors_of_one_length():
    with pytest.raises(TypeCheckError):
        quadratic_penalty(torch.zeros(3), torch.zeros(2), torch.zeros(3))
