"""From an image file to the pixels that a backbone takes."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tltool.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from PIL import Image


def decode_image(file: str | Path | IO[bytes], to: Preprocessing) -> npt.NDArray[np.uint8]:
    """Reads one image file: upright by its EXIF tag, resized by its short side, cropped centrally.

    Transparent parts become white. Pixels of 16 bits keep their upper 8.

    Returns:
        (channels, size, size) of uint8.

    Raises:
        OSError: The file is missing or no image; Pillow raises other exceptions on broken ones.
    """
    from PIL import Image, ImageOps

    short = int(to.size / to.crop_pct)  # rounded down, as timm does
    with Image.open(file) as opened:
        opened.draft(None, (2 * short, 2 * short))  # large JPEGs: decode at 1/2, 1/4 or 1/8
        image = _convert(ImageOps.exif_transpose(opened), "L" if to.channels == 1 else "RGB")
    width, height = (short * side // min(image.size) for side in image.size)
    image = image.resize((width, height), Image.Resampling[to.interpolation.upper()])
    left, top = round((width - to.size) / 2), round((height - to.size) / 2)
    pixels = np.asarray(image.crop((left, top, left + to.size, top + to.size)))
    return pixels[None] if to.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _convert(image: "Image.Image", mode: str) -> "Image.Image":
    from PIL import Image

    if image.mode.startswith("I"):  # Pillow would clip 16-bit pixels at 255
        high = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        image = Image.fromarray(high.astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
