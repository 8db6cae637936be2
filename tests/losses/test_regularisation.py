import math

import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.regularisation import (
    batch_spectral_shrinkage,
    behaviour_distance,
    channel_attention,
    class_relationship,
    flat,
    l2,
    l2_sp,
)


def test_flat_keeps_the_logical_order_of_any_layout():
    tensor = torch.arange(16.0).reshape(1, 4, 2, 2)
    laid_out = tensor.clone().to(memory_format=torch.channels_last)
    assert not laid_out.is_contiguous()
    assert torch.equal(flat([laid_out, torch.tensor(7.0)]), torch.tensor([*range(16), 7.0]))


def test_l2_sp_by_hand():
    w = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
    start = torch.tensor([0.0, 1.0, 0.5])
    loss = l2_sp(w, start)
    assert loss.item() == 5.0  # (1 + 9 + 0) / 2
    loss.backward()
    assert torch.equal(w.grad, torch.tensor([1.0, -3.0, 0.0]))  # w - w0
    assert l2_sp(start, start).item() == 0.0
    with pytest.raises(TypeCheckError):
        l2_sp(w, torch.zeros(2))


def test_l2_by_hand():
    w = torch.tensor([3.0, -4.0], requires_grad=True)
    loss = l2(w)
    assert loss.item() == 12.5
    loss.backward()
    assert torch.equal(w.grad, w.detach())
    with pytest.raises(TypeCheckError):
        l2(torch.zeros(2, 2))


# Orthogonal rows: the singular values are their lengths 5, 2 and 1.
SPECTRUM = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.mark.parametrize(("k", "value"), [(1, 1.0), (2, 5.0), (3, 30.0), (9, 30.0)])
def test_batch_spectral_shrinkage_by_hand(k, value):
    assert batch_spectral_shrinkage(SPECTRUM, k).item() == pytest.approx(value, rel=1e-5)


def test_batch_spectral_shrinkage_pulls_at_the_smallest_direction_alone():
    features = SPECTRUM.clone().requires_grad_()
    batch_spectral_shrinkage(features, 1).backward()
    expected = torch.zeros_like(SPECTRUM)
    expected[2, 3] = 2.0  # of s^2, 2 s u v^T
    torch.testing.assert_close(features.grad, expected)


def test_batch_spectral_shrinkage_takes_half_precision_and_no_maps():
    assert batch_spectral_shrinkage(SPECTRUM.bfloat16(), 1).item() == pytest.approx(1.0)
    with pytest.raises(TypeCheckError):
        batch_spectral_shrinkage(torch.zeros(2, 3, 4), 1)


def test_behaviour_distance_by_hand():
    maps = torch.tensor([[[1.0, 3.0], [0.0, 2.0]]], requires_grad=True)  # 1 x 2 channels x 2
    attention = torch.tensor([0.25, 0.75])
    loss = behaviour_distance(maps, torch.zeros(1, 2, 2), attention)
    # mean squares (1 + 9) / 2 and (0 + 4) / 2: (0.25 * 5 + 0.75 * 2) / 2
    assert loss.item() == pytest.approx(1.375)
    loss.backward()
    # a / (b P) * m
    torch.testing.assert_close(maps.grad, torch.tensor([[[0.125, 0.375], [0.0, 0.75]]]))


def test_behaviour_distance_is_a_mean_over_examples_and_any_positions():
    a, b = torch.randn(3, 4, 5, 2), torch.randn(3, 4, 5, 2)
    equal = torch.full((4,), 0.25)
    expected = 0.5 * (a - b).square().mean()
    torch.testing.assert_close(behaviour_distance(a, b, equal), expected)
    torch.testing.assert_close(behaviour_distance(a.flatten(2), b.flatten(2), equal), expected)
    flat_expected = 0.5 * (a - b)[:, :, 0, 0].square().mean()
    found = behaviour_distance(a[:, :, 0, 0], b[:, :, 0, 0], equal)
    torch.testing.assert_close(found, flat_expected)
    assert behaviour_distance(a, a, equal).item() == 0.0


@pytest.mark.parametrize(
    ("reference", "attention"),
    [(torch.zeros(2, 3, 5), torch.zeros(3)), (torch.zeros(2, 3, 4), torch.zeros(4))],
)
def test_behaviour_distance_takes_maps_of_one_shape(reference, attention):
    with pytest.raises(TypeCheckError):
        behaviour_distance(torch.zeros(2, 3, 4), reference, attention)


def test_channel_attention_by_hand():
    # mean 1, standard deviation 1: softmax(-1/5, 1/5)
    low = 1 / (1 + math.exp(0.4))
    found = channel_attention(torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(found, torch.tensor([low, 1 - low]))
    torch.testing.assert_close(channel_attention(torch.tensor([10.0, 30.0])), found)  # any scale


def test_channel_attention_of_equal_channels_is_equal():
    assert torch.equal(channel_attention(torch.full((4,), 3.0)), torch.full((4,), 0.25))
    with pytest.raises(TypeCheckError):
        channel_attention(torch.zeros(2, 2))


def test_class_relationship_by_hand():
    old = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9]])
    found = class_relationship(old, torch.tensor([2, 2, 0]), 3)
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.9], [0.0, 0.0], [0.6, 0.4]]))
    with pytest.raises(TypeCheckError):
        class_relationship(old, torch.tensor([0, 1]), 2)
    with pytest.raises(TypeCheckError):
        class_relationship(old, torch.zeros(3), 2)
