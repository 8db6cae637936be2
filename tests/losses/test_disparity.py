import math

import pytest
import torch

from tltool.losses.disparity import discrepancy, margin_disparity

LOG2, LOG3 = math.log(2.0), math.log(3.0)


def test_discrepancy_by_hand():
    # (1/2, 1/2) and (3/4, 1/4): mean of 1/4, 1/4. (1/2, 1/2) twice: 0. Together 1/8.
    one = torch.tensor([[0.0, 0.0], [5.0, 5.0]])
    other = torch.tensor([[LOG3, 0.0], [0.0, 0.0]])
    assert discrepancy(one, other).item() == pytest.approx(0.125)
    assert discrepancy(other, one).item() == pytest.approx(0.125)
    assert discrepancy(one, one + 3.0).item() == 0.0


def test_discrepancy_gradient_by_hand():
    # p = softmax(0, 0), q = (3/4, 1/4): d = (q_1 - p_1 + p_2 - q_2) / 2 = q_1 - p_1 with two
    # classes, so that dd/dlogit_1 of p is -p_1 p_2 = -1/4, and of q it is q_1 q_2 = 3/16.
    one = torch.tensor([[0.0, 0.0]], requires_grad=True)
    other = torch.tensor([[LOG3, 0.0]], requires_grad=True)
    discrepancy(one, other).backward()
    torch.testing.assert_close(one.grad, torch.tensor([[-0.25, 0.25]]))
    torch.testing.assert_close(other.grad, torch.tensor([[0.1875, -0.1875]]))


def test_margin_disparity_by_hand():
    source = torch.tensor([[0.0, 1.0]])  # predicts class 1
    source_adversary = torch.tensor([[0.0, LOG3]])  # gives it 3/4: -log 3/4 = 0.287682
    target = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 9.0]])[:, :2]  # classes 0 and 0
    target_adversary = torch.tensor([[0.0, 0.0], [LOG3, 0.0]])  # 1/2 and 3/4
    # 4 * 0.287682 + (-log 1/2 - log 1/4) / 2 = 1.150728 + (0.693147 + 1.386294) / 2
    found = margin_disparity(source, source_adversary, target, target_adversary, 4.0)
    assert found.item() == pytest.approx(2.190449, abs=1e-6)


def test_the_adversary_agrees_on_the_source_and_disagrees_on_the_target():
    logits = {
        name: torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
        for name in ("source", "source_adversary", "target", "target_adversary")
    }
    margin_disparity(*logits.values(), margin=2.0).backward()
    assert logits["source"].grad is None and logits["target"].grad is None
    # Descent raises the predicted class's logit on the source, and lowers it on the target.
    q = torch.tensor([1.0, 0.0, 0.0]).softmax(dim=0)
    expected = 2.0 * (q - torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(logits["source_adversary"].grad[0], expected)
    # d/dz_0 of -log(1 - q_0) is q_0; of the others q_0 spreads as they share the rest.
    expected = torch.tensor([q[0], -q[0] / 2, -q[0] / 2])
    torch.testing.assert_close(logits["target_adversary"].grad[0], expected)


def test_margin_disparity_stays_finite():
    sure = torch.tensor([[200.0, 0.0]], requires_grad=True)  # 1 - softmax is 0 in float32
    loss = margin_disparity(torch.eye(2)[:1], torch.zeros(1, 2), torch.eye(2)[:1], sure, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(200.0 + LOG2)
    torch.testing.assert_close(sure.grad, torch.tensor([[1.0, -1.0]]))
