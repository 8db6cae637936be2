import io

import numpy as np
import pytest
from PIL import Image

from tltool.data.decode import decode_image
from tltool.data.preprocessing import Preprocessing


def encoded(image: Image.Image, kind: str = "PNG", **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_an_image_of_the_right_size_is_left_as_it_is():
    image = noise(8, 8)
    decoded = decode_image(encoded(image), Preprocessing(size=8))
    assert decoded.shape == (3, 8, 8) and decoded.dtype == np.uint8
    assert (decoded == np.asarray(image).transpose(2, 0, 1)).all()


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("turned", [False, True])
def test_the_short_side_is_resized_and_the_centre_cropped(name, turned):
    image = noise(20, 41) if turned else noise(41, 20)
    decoded = decode_image(encoded(image), Preprocessing(size=8, crop_pct=0.8, interpolation=name))
    resized = image.resize((10, 20) if turned else (20, 10), Image.Resampling[name.upper()])
    left, top = (1, 6) if turned else (6, 1)
    wanted = np.asarray(resized)[top : top + 8, left : left + 8]
    assert (decoded == wanted.transpose(2, 0, 1)).all()


def test_one_channel_is_luminance_and_grey_fills_three():
    red = Image.new("RGB", (4, 4), (200, 0, 0))
    grey = decode_image(encoded(red), Preprocessing(size=4, channels=1))
    assert grey.shape == (1, 4, 4)
    assert (grey == round(200 * 0.299)).all()  # ITU-R 601
    three = decode_image(encoded(Image.new("L", (4, 4), 77)), Preprocessing(size=4))
    assert three.shape == (3, 4, 4) and (three == 77).all()


def test_the_exif_orientation_is_respected():
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view: bright on the right
    file = encoded(Image.fromarray(pixels), exif=exif)
    decoded = decode_image(file, Preprocessing(size=8))
    assert (decoded[:, :, 4:] == 255).all() and (decoded[:, :, :4] == 0).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_white(mode):
    options = {}
    if mode == "P":
        image = Image.new("P", (4, 4), 1)
        image.putpalette([0, 0, 0, 10, 20, 30])
        image.putpixel((0, 0), 0)
        options["transparency"] = 0
    else:
        image = Image.new(mode, (4, 4), (10, 255) if mode == "LA" else (10, 20, 30, 255))
        image.putpixel((0, 0), (0,) * len(mode))
    decoded = decode_image(encoded(image, **options), Preprocessing(size=4))
    assert decoded[:, 0, 0].tolist() == [255, 255, 255]
    assert decoded[0, 1, 1] == 10


def test_sixteen_bits_are_scaled_and_not_clipped():
    image = Image.fromarray(np.full((4, 4), 0x8034, dtype=np.uint16))
    decoded = decode_image(encoded(image), Preprocessing(size=4))
    assert (decoded == 0x80).all()


def test_large_photographs_come_out_as_without_the_short_cut():
    y, x = np.mgrid[0:640, 0:800] / 100
    waves = np.stack([np.sin(x + k) * np.cos(y) for k in range(3)], axis=-1)
    file = encoded(Image.fromarray((127 + 120 * waves).astype(np.uint8)), "JPEG", quality=95)
    decoded = decode_image(file, Preprocessing(size=32)).astype(int)
    with Image.open(file) as image:
        plain = np.asarray(image.resize((40, 32), Image.Resampling.BILINEAR)).astype(int)
    assert abs(decoded - plain[:, 4:36].transpose(2, 0, 1)).max() <= 3


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_broken_bytes_raise(content):
    with pytest.raises(OSError):
        decode_image(io.BytesIO(content), Preprocessing())
