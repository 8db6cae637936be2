import math

import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.classification import accuracy, known_cross_entropy

LOGITS = torch.tensor([[2.0, 1.0], [0.0, 3.0], [-1.0, -2.0], [0.5, 0.4]])


def test_accuracy_counts_rows_whose_largest_logit_is_the_labels():
    right = accuracy(LOGITS, torch.tensor([0, 1, 1, 0]))
    assert right.item() == 0.75 and right.dtype == torch.float32
    assert accuracy(LOGITS, torch.tensor([1, 0, 1, 1])).item() == 0.0


def test_accuracy_of_half_precision_is_not_rounded():
    logits = torch.tensor([[0.0, 1.0]]).repeat(1000, 1).to(torch.bfloat16)
    y = torch.tensor([1] * 999 + [0])
    assert accuracy(logits, y).item() == pytest.approx(0.999, abs=1e-6)  # bfloat16 has 0.9961, 1.0


@pytest.mark.parametrize(
    ("logits", "y"),
    [
        (LOGITS, torch.zeros(3, dtype=torch.int64)),
        (LOGITS, torch.zeros(4, 1, dtype=torch.int64)),
        (LOGITS[0], torch.zeros(2, dtype=torch.int64)),
        (LOGITS, torch.zeros(4)),
    ],
)
def test_accuracy_takes_a_row_of_logits_for_each_label(logits, y):
    with pytest.raises(TypeCheckError):
        accuracy(logits, y)


def test_accuracy_leaves_unknown_labels_out():
    assert accuracy(LOGITS, torch.tensor([0, -1, 1, -1])).item() == 0.5
    assert accuracy(LOGITS, torch.full((4,), -1)).item() == 0.0


def test_cross_entropy_of_known_labels_by_hand():
    logits = torch.tensor([[0.0, 0.0], [0.0, 5.0], [math.log(3.0), 0.0]], requires_grad=True)
    # -log 1/2 and -log 3/4, the second row is unknown: (0.693147 + 0.287682) / 2
    loss = known_cross_entropy(logits, torch.tensor([0, -1, 0]))
    assert loss.item() == pytest.approx(0.4904146, abs=1e-6)
    loss.backward()
    # (p - onehot) / 2
    expected = torch.tensor([[-0.25, 0.25], [0.0, 0.0], [-0.125, 0.125]])
    torch.testing.assert_close(logits.grad, expected)


def test_cross_entropy_without_any_label_is_zero_and_has_no_gradient():
    logits = torch.ones(3, 2, requires_grad=True)
    loss = known_cross_entropy(logits, torch.full((3,), -1))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_cross_entropy_takes_a_row_of_logits_for_each_label():
    with pytest.raises(TypeCheckError):
        known_cross_entropy(LOGITS, torch.zeros(3, dtype=torch.int64))
