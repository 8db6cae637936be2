import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.metric import class_means, minus_squared_distances, nearest_mean

# Two classes in the plane: means (1, 0) and (0, 4).
SUPPORT = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
LABELS = torch.tensor([0, 0, 1])


def test_means_by_hand() -> None:
    assert class_means(SUPPORT, LABELS, 2).tolist() == [[1.0, 0.0], [0.0, 4.0]]


def test_a_class_that_is_absent_has_mean_zero() -> None:
    assert class_means(SUPPORT, LABELS, 3)[2].tolist() == [0.0, 0.0]


def test_distances_by_hand() -> None:
    # (1, 1): 1 to the first mean, 1 + 9 to the second; (0, 4): 1 + 16 and 0.
    query = torch.tensor([[1.0, 1.0], [0.0, 4.0]])
    logits = nearest_mean(SUPPORT, LABELS, query, 2)
    torch.testing.assert_close(logits, torch.tensor([[-1.0, -10.0], [-17.0, 0.0]]))
    assert logits.argmax(dim=1).tolist() == [0, 1]


def test_the_order_of_the_support_does_not_matter() -> None:
    torch.manual_seed(0)
    support, labels, query = torch.randn(9, 4), torch.arange(9) % 3, torch.randn(5, 4)
    order = torch.randperm(9)
    torch.testing.assert_close(
        nearest_mean(support, labels, query, 3),
        nearest_mean(support[order], labels[order], query, 3),
    )


def test_gradient_also_where_a_distance_is_zero() -> None:
    torch.manual_seed(0)
    support = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    query = support.detach()[:2].clone().requires_grad_()
    labels = torch.tensor([0, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda s, q: nearest_mean(s, labels, q, 3), (support, query))


def test_half_precision_does_not_reach_the_distances() -> None:
    torch.manual_seed(0)
    query, means = torch.randn(8, 64) + 10, torch.randn(4, 64) + 10
    exact = minus_squared_distances(query, means)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(minus_squared_distances(query, means), exact)
    assert minus_squared_distances(query.bfloat16(), means.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("query", [torch.zeros(2, 3), torch.zeros(2)])
def test_other_shapes_are_refused(query: torch.Tensor) -> None:
    with pytest.raises(TypeCheckError):
        nearest_mean(SUPPORT, LABELS, query, 2)
