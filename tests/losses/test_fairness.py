import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.fairness import reweighing_weights


def test_weights_by_hand():
    # Of 10: P(a=0) = 5/10, P(y=1) = 6/10, P(a=0, y=1) = 4/10: 0.5 * 0.6 / 0.4 = 0.75
    # (0, 0): 0.5 * 0.4 / 0.1 = 2; (1, 0): 0.5 * 0.4 / 0.3 = 2/3; (1, 1): 0.5 * 0.6 / 0.2 = 1.5
    weights = reweighing_weights(torch.tensor([[1, 4], [3, 2]]))
    torch.testing.assert_close(weights, torch.tensor([[2.0, 0.75], [2 / 3, 1.5]]))


def test_weighted_group_and_class_are_independent_and_as_many_as_before():
    counts = torch.tensor([[7, 1, 12], [30, 5, 2]])
    joint = counts * reweighing_weights(counts)
    assert joint.sum().item() == pytest.approx(57, rel=1e-6)
    # The margins stay what they were, and the joint is their product.
    torch.testing.assert_close(joint.sum(1), counts.sum(1).float())
    torch.testing.assert_close(joint.sum(0), counts.sum(0).float())
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True) / joint.sum()
    torch.testing.assert_close(joint, product)


def test_independent_data_have_weight_one():
    counts = torch.tensor([[2, 4, 6], [3, 6, 9]])
    torch.testing.assert_close(reweighing_weights(counts), torch.ones(2, 3))


def test_an_empty_cell_has_no_weight():
    weights = reweighing_weights(torch.tensor([[0, 4], [4, 4]]))
    # (1, 1): 8/12 * 8/12 / (4/12) = 4/3
    torch.testing.assert_close(weights, torch.tensor([[0.0, 2 / 3], [2 / 3, 4 / 3]]))
    assert not reweighing_weights(torch.zeros(2, 2, dtype=torch.int64)).any()


def test_counts_are_a_table_of_integers():
    for wrong in (torch.zeros(4, dtype=torch.int64), torch.zeros(2, 2)):
        with pytest.raises(TypeCheckError):
            reweighing_weights(wrong)
