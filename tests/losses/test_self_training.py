import math

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError

from tltool.losses.self_training import (
    centroid_labels,
    confident_cross_entropy,
    consistency,
    marginal_entropy,
    mean_entropy,
    minimum_class_confusion,
)

LOG3, LOG9 = math.log(3.0), math.log(9.0)  # softmax of (log 3, 0) is (3/4, 1/4)


def test_confident_cross_entropy_by_hand():
    # Probabilities of the labels' classes: .9 (class 0), .75 (class 0), .9 (class 1), .5.
    predicted = torch.tensor([[LOG9, 0.0], [LOG3, 0.0], [0.0, LOG9], [0.0, 0.0]])
    logits = torch.tensor([[0.0, LOG3], [5.0, 0.0], [0.0, LOG3], [7.0, 0.0]])
    loss, kept = confident_cross_entropy(logits, predicted, 0.8)
    # Rows 0 and 2: -log 1/4 and -log 3/4, divided by all four.
    assert loss.item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 4, abs=1e-6)
    assert kept.item() == 0.5


def test_confident_cross_entropy_of_nothing_is_zero_and_its_gradient_too():
    logits = torch.zeros(3, 2, requires_grad=True)
    loss, kept = confident_cross_entropy(logits, logits, 0.6)
    loss.backward()
    assert (loss.item(), kept.item()) == (0.0, 0.0) and not logits.grad.any()


def test_the_threshold_itself_is_confident():
    loss, kept = confident_cross_entropy(torch.zeros(2, 2), torch.zeros(2, 2), 0.5)
    assert kept.item() == 1.0
    assert loss.item() == pytest.approx(math.log(2))


def test_confident_cross_entropy_has_no_gradient_through_the_labels():
    predicted = torch.tensor([[LOG9, 0.0], [0.0, LOG3]], requires_grad=True)
    logits = torch.tensor([[0.0, LOG3], [0.0, 0.0]], requires_grad=True)
    confident_cross_entropy(logits, predicted, 0.8)[0].backward()
    assert predicted.grad is None
    # Row 0: (softmax - one-hot of class 0) / 2 rows; row 1 is not kept.
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.375, 0.375], [0.0, 0.0]]))


def test_consistency_by_hand():
    student = torch.tensor([[LOG3, 0.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[LOG9, 0.0], [LOG3, 0.0]], requires_grad=True)
    loss, kept = consistency(student, teacher, 0.8)
    # Row 0: ((.75 - .9)^2 + (.25 - .1)^2) / 2 = .0225; row 1 is not kept; over two rows.
    assert loss.item() == pytest.approx(0.01125, abs=1e-7)
    assert kept.item() == 0.5
    loss.backward()
    assert teacher.grad is None
    # d/ds_0: 1/2 * mean of 2 (p - q) dp = 1/2 * (-.15 * .1875 * 2) for both classes.
    torch.testing.assert_close(student.grad, torch.tensor([[-0.028125, 0.028125], [0.0, 0.0]]))


def test_agreement_costs_nothing():
    logits = torch.tensor([[1.0, -2.0], [0.3, 0.1]])
    assert consistency(logits, logits, 0.0)[0].item() == 0.0


def test_entropies_by_hand():
    logits = torch.tensor([[LOG3, 0.0], [0.0, LOG3]])
    # H(3/4, 1/4) = log 4 - 3/4 log 3; the mean of the rows is even.
    assert mean_entropy(logits).item() == pytest.approx(math.log(4) - 0.75 * LOG3, abs=1e-6)
    assert marginal_entropy(logits).item() == pytest.approx(math.log(2), abs=1e-6)


def test_entropies_of_certain_rows():
    logits = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]], requires_grad=True)
    assert mean_entropy(logits).item() == 0.0
    assert marginal_entropy(logits).item() == pytest.approx(math.log(2), abs=1e-6)
    one_class = torch.tensor([[1000.0, 0.0], [1000.0, 0.0]], requires_grad=True)
    assert marginal_entropy(one_class).item() == pytest.approx(0.0, abs=1e-6)
    (mean_entropy(one_class) - marginal_entropy(one_class)).backward()
    assert one_class.grad.isfinite().all()


def test_gradients_of_entropies_make_certain_and_spread():
    one = torch.tensor([[1.0, 0.0]], requires_grad=True)
    mean_entropy(one).backward()
    assert one.grad[0, 0] < 0 < one.grad[0, 1]  # a step down makes the likely class likelier
    two = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    (-marginal_entropy(two)).backward()
    assert (two.grad[:, 0] > 0).all()  # and one down this makes the frequent class rarer


def test_minimum_class_confusion_by_hand():
    # Temperature 2: softmaxes (3/4, 1/4) and (1/2, 1/2).
    logits = torch.tensor([[2 * LOG3, 0.0], [0.0, 0.0]])
    a = 1 + math.exp(-(math.log(4) - 0.75 * LOG3))  # 1 + e^-H: 1.56987
    b = 1 + math.exp(-math.log(2))  # 1.5
    w, v = 2 * a / (a + b), 2 * b / (a + b)  # they add up to the batch
    c00, c01, c11 = w * 9 / 16 + v / 4, w * 3 / 16 + v / 4, w / 16 + v / 4
    wanted = (c01 / (c00 + c01) + c01 / (c01 + c11)) / 2
    assert minimum_class_confusion(logits, 2.0).item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 5])
def test_minimum_class_confusion_from_certainty_to_ignorance(classes):
    certain = 100.0 * torch.eye(classes)
    assert minimum_class_confusion(certain, 2.5).item() == pytest.approx(0.0, abs=1e-6)
    nothing = minimum_class_confusion(torch.zeros(7, classes), 2.5)
    assert nothing.item() == pytest.approx(1 - 1 / classes, abs=1e-6)


def test_minimum_class_confusion_has_no_gradient_through_the_weights():
    torch.manual_seed(0)
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    minimum_class_confusion(logits, 2.5).backward()
    y = F.softmax(logits / 2.5, dim=1)
    fixed = (1 + torch.exp((y * y.log()).sum(dim=1))).detach()

    def held(x):  # the weights stay where they are
        q = F.softmax(x / 2.5, dim=1)
        c = q.T @ torch.diag(6 * fixed / fixed.sum()) @ q
        c = c / c.sum(dim=1, keepdim=True)
        return (c.sum() - c.trace()) / 3

    again = logits.detach().clone().requires_grad_()
    held(again).backward()
    torch.testing.assert_close(logits.grad, again.grad)
    assert logits.grad.abs().max() > 1e-3


def test_a_class_that_is_never_predicted_leaves_it_finite():
    logits = torch.tensor([[1e4, 0.0, -1e4], [0.0, 1e4, -1e4]], requires_grad=True)
    loss = minimum_class_confusion(logits, 2.5)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_centroid_labels_follow_the_features_where_predictions_are_wrong():
    # Two bundles of directions; the third example is predicted as class 1 and lies with class 0.
    features = torch.tensor([[9.0, 1.0], [9.0, 0.0], [8.0, 1.0], [1.0, 9.0], [0.0, 9.0]])
    sure = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
    assert centroid_labels(features, sure).tolist() == [0, 0, 0, 1, 1]
    assert sure.argmax(dim=1).tolist() == [0, 0, 1, 1, 1]


def test_centroid_labels_against_a_plain_loop():
    torch.manual_seed(3)
    features, p = torch.randn(40, 6), torch.randn(40, 4).mul(2).softmax(dim=1)
    f = torch.cat([features, torch.ones(40, 1)], dim=1)
    f = f / f.norm(dim=1, keepdim=True)
    labels = None
    for turn in range(2):
        centres = {}
        for c in range(4):
            w = p[:, c] if turn == 0 else (labels == c).float()
            if w.sum() > 0:
                centres[c] = (w[:, None] * f).sum(dim=0) / w.sum()
        near = [
            max(centres, key=lambda c: F.cosine_similarity(x, centres[c], dim=0).item()) for x in f
        ]
        labels = torch.tensor(near)
    assert centroid_labels(features, p).tolist() == labels.tolist()
    assert len(set(labels.tolist())) > 1


def test_a_class_without_examples_gets_none():
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    p = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert centroid_labels(features, p).tolist() == [0, 1, 1]


@pytest.mark.parametrize("loss", [mean_entropy, marginal_entropy])
def test_logits_have_two_dimensions(loss):
    with pytest.raises(TypeCheckError):
        loss(torch.zeros(4))
    with pytest.raises(TypeCheckError):
        consistency(torch.zeros(4, 2), torch.zeros(4, 3), 0.5)
