import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.classification import accuracy

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
