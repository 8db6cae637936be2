import pytest
import torch

from tltool.data.preprocessing import Preprocessing
from tltool.data.transforms import Prepare, random_flip, random_shift

IMAGENET = Preprocessing(size=8, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
PLAIN = Preprocessing(size=8, channels=1, mean=(0.0,), std=(1.0,))


def images(count: int = 16, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, 8, 8)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_pixels_are_scaled_then_normalised_by_channel():
    x = images()
    mean, std = torch.tensor(IMAGENET.mean), torch.tensor(IMAGENET.std)
    by_hand = (x / 255 - mean[:, None, None]) / std[:, None, None]
    prepared = Prepare(IMAGENET)(x, training=True)
    assert prepared.dtype == torch.float32
    torch.testing.assert_close(prepared, by_hand, rtol=1e-5, atol=1e-5)


def test_the_stored_images_are_left_alone():
    x = images()
    before = x.clone()
    Prepare(IMAGENET, "flip_crop")(x, training=True)
    assert torch.equal(x, before)


def test_features_pass_unchanged():
    features = torch.randn(4, 7)
    assert Prepare(IMAGENET, "flip_crop")(features, training=True) is features


@pytest.mark.parametrize("augment", ["flip", "flip_crop"])
def test_evaluation_never_augments(augment):
    x = images()
    plain = Prepare(IMAGENET)(x, training=False)
    assert torch.equal(Prepare(IMAGENET, augment)(x, training=False), plain)
    assert not torch.equal(Prepare(IMAGENET, augment)(x, training=True), plain)


@pytest.mark.parametrize("augment", ["flip", "flip_crop"])
def test_augmentation_is_a_function_of_torchs_seed(augment):
    prepare, x = Prepare(IMAGENET, augment), images()

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return prepare(x, training=True)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_flip_mirrors_about_half_of_the_images_left_to_right():
    torch.manual_seed(0)
    x = images(count=200)
    y = random_flip(x)
    flipped = [torch.equal(b, a.flip(-1)) for a, b in zip(x, y, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(x, y, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 70 < sum(flipped) < 130  # 100 ± 4 standard deviations


def test_a_shift_moves_a_pixel_by_up_to_most_and_each_image_by_its_own():
    torch.manual_seed(0)
    x = torch.zeros(300, 1, 8, 8, dtype=torch.uint8)
    x[:, 0, 3, 4] = 255
    found = random_shift(x, 1).nonzero()
    assert len(found) == 300  # inside of the border a pixel is neither lost nor doubled
    moves = {(row - 3, column - 4) for _, _, row, column in found.tolist()}
    assert moves == {(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}


@pytest.mark.parametrize("along", ["rows", "columns"])
def test_a_shift_repeats_the_edge(along):
    torch.manual_seed(0)
    x = torch.arange(8, dtype=torch.uint8).view(1, 1, 1, 8).expand(50, 1, 8, 8)
    shifted = random_shift(x if along == "rows" else x.mT, 2)
    lines = {tuple(image[0, 0].tolist()) for image in (shifted if along == "rows" else shifted.mT)}
    assert (0, 0, 0, 1, 2, 3, 4, 5) in lines and (2, 3, 4, 5, 6, 7, 7, 7) in lines


def test_flip_crop_shifts_by_an_eighth_of_the_side():
    torch.manual_seed(0)
    x = torch.zeros(200, 1, 8, 8, dtype=torch.uint8)
    x[:, 0, 4, 4] = 255
    found = Prepare(PLAIN, "flip_crop")(x, training=True).nonzero()
    # The mirror moves column 4 to 3; then both coordinates move by at most 8 // 8.
    assert set(found[:, 2].tolist()) == {3, 4, 5}
    assert set(found[:, 3].tolist()) == {2, 3, 4, 5}


def test_channels_last_changes_the_layout_and_no_value():
    x = images()
    prepared = Prepare(IMAGENET, channels_last=True)(x, training=False)
    assert prepared.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(prepared, Prepare(IMAGENET)(x, training=False))
