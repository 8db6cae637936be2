from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

from tltool.data.options import DataOptions
from tltool.data.preprocessing import Preprocessing
from tltool.data.transforms import Prepare
from tltool.data.views import (
    Views,
    brightness,
    contrast,
    grey,
    hue,
    random_blur,
    random_colours,
    random_resized_crop,
    saturation,
)


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (8, 3, 12, 12), dtype=torch.uint8)


def _column(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


@pytest.mark.parametrize("channels", [3, 1])
def test_two_views_differ_and_the_same_seed_gives_the_same(images: Tensor, channels: int) -> None:
    views = Views(blur=0.5)
    images = images[:, :channels]
    torch.manual_seed(1)
    first, second = views(images), views(images)
    assert first.shape == images.shape and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 255
    assert all((a - b).abs().max() > 1 for a, b in zip(first, second, strict=True))
    torch.manual_seed(1)
    assert torch.equal(views(images), first)


@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (brightness, tv.adjust_brightness, (0.4, 1.0, 1.7)),
        (contrast, tv.adjust_contrast, (0.4, 1.0, 1.7)),
        (saturation, tv.adjust_saturation, (0.0, 1.0, 1.7)),
        (hue, tv.adjust_hue, (-0.4, 0.0, 0.2)),
    ],
)
def test_each_image_is_changed_as_torchvision_changes_one(
    images: Tensor, ours: Any, theirs: Callable[..., Tensor], factors: tuple[float, ...]
) -> None:
    images = images[:3].float()
    images[:, :, 0] = 77.0  # grey pixels have no hue
    changed = ours(images.clone(), _column(*factors))
    for image, factor, one in zip(images, factors, changed, strict=True):
        expected = theirs(image / 255, factor) * 255
        torch.testing.assert_close(one, expected, atol=0.02, rtol=1e-3)


def test_a_whole_crop_is_the_image_and_a_flip_mirrors_half(images: Tensor) -> None:
    x = images.float()
    square = x[:1].expand(400, -1, -1, -1)
    views = random_resized_crop(square, area=1.0, flip=True)
    mirrored = sum(torch.allclose(v, x[0].flip(-1), atol=0.1) for v in views)
    kept = sum(torch.allclose(v, x[0], atol=0.1) for v in views)
    # With area 1 a box fits only if it is square, which it never quite is: the image is kept.
    assert mirrored + kept == 400
    assert 150 < kept < 250


def test_a_crop_shows_a_box_of_the_area_and_sides_that_are_asked_for() -> None:
    """On a ramp of columns (or rows), a crop's slope says how wide (or high) its box is."""
    ramp = torch.arange(64.0).expand(500, 1, 64, 64)
    torch.manual_seed(0)
    rng = torch.get_rng_state()
    across = random_resized_crop(ramp, area=0.25)
    torch.set_rng_state(rng)
    down = random_resized_crop(ramp.transpose(2, 3), area=0.25)
    width = (across[:, 0, 0, 40] - across[:, 0, 0, 20]) / 20
    height = (down[:, 0, 40, 0] - down[:, 0, 20, 0]) / 20
    area, ratio = width * height, width / height
    assert 0.245 < area.min() and area.max() < 1.001
    assert 0.74 < ratio.min() and ratio.max() < 1.34
    boxes = [RandomResizedCrop.get_params(ramp[0], [0.25, 1.0], [3 / 4, 4 / 3]) for _ in range(500)]
    assert area.mean() == pytest.approx(sum(h * w for _, _, h, w in boxes) / 500 / 64**2, abs=0.03)
    left = across[:, 0, 0, 0]
    assert left.min() >= 0 and left.std() > 3  # boxes lie all over


def test_colours_change_four_views_in_five_and_one_in_five_is_grey() -> None:
    torch.manual_seed(0)
    x = (torch.rand(1, 3, 6, 6) * 200 + 20).expand(1000, -1, -1, -1)
    views = random_colours(x, strength=0.5)
    is_grey = (views - grey(views)).abs().amax(dim=(1, 2, 3)) < 0.1
    same = (views - x).abs().amax(dim=(1, 2, 3)) < 0.1
    assert is_grey.float().mean().item() == pytest.approx(0.2, abs=0.05)
    assert same.float().mean().item() == pytest.approx(0.2 * 0.8, abs=0.05)


def test_blur_keeps_the_mean_and_takes_away_the_detail() -> None:
    torch.manual_seed(0)
    x = torch.rand(50, 3, 20, 20) * 255
    blurred = random_blur(x, 1.0)
    assert (blurred.std(dim=(2, 3)) < x.std(dim=(2, 3)) + 1e-3).all()
    torch.testing.assert_close(
        random_blur(torch.full((4, 1, 9, 9), 7.0), 1.0), torch.full((4, 1, 9, 9), 7.0)
    )
    assert torch.equal(random_blur(x, 0.0), x)
    spot = torch.zeros(1, 1, 15, 15)
    spot[..., 7, 7] = 1.0
    after = random_blur(spot, 1.0)
    assert after.sum().item() == pytest.approx(1.0, abs=1e-4)
    torch.testing.assert_close(after, after.transpose(2, 3))


def test_views_are_normalised_and_made_in_training_only(images: Tensor) -> None:
    prepare = Prepare(Preprocessing(size=12), views=Views(jitter=0.0))
    torch.testing.assert_close(prepare.view(images, training=False), prepare(images, False))
    view = prepare.view(images, training=True)
    assert -1 <= view.min() and view.max() <= 1
    assert not torch.allclose(view, prepare(images, False), atol=0.1)


@pytest.mark.parametrize("given", [{"view_area": 0.0}, {"view_jitter": -1.0}, {"view_blur": 1.1}])
def test_options_that_cannot_be(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"dataset.{next(iter(given))} must"):
        DataOptions(**given)  # type: ignore[arg-type]
