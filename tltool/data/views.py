"""Random views of images for self-supervised learning, a whole batch at once.

The distributions are those of `lightly.transforms.SimCLRTransform`, from torch's generators alone,
so that a resumed run sees the same views; lightly draws its blur and rotation from numpy's. It
works image by image, on the CPU: measured on one core, 2 500 views a second of 28 pixels against
13 800 here, where LeNet learns from 4 400 images a second (at 224 pixels 320 against 230, but
there the network is what takes long). Three things differ: boxes of crops are not rounded to
pixels, the order of the colour changes is drawn for a batch and not for an image, and a crop is
cut from what the backbone takes, not from the file.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

JITTER = 0.8  # largest change of brightness, contrast and saturation at strength 1 (SimCLR, app. A)
HUE = 0.2  # largest shift of the hue at strength 1, in turns
JITTERED, GREYED = 0.8, 0.2  # part of the views whose colours change, and that turn grey
RATIO = (3 / 4, 4 / 3)  # of a crop's sides, log-uniform
TRIES = 10  # at a box that lies within the image, as in torchvision
SIGMA = (0.1, 2.0)  # of the blur, in pixels
BLUR_RADIUS = 6  # pixels, three times the largest sigma
LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue in grey (ITU-R 601-2, as in torchvision)


class Views:
    """Crops, mirrors, and changes the colours of images, each in its own way.

    Args:
        area: Smallest part of the image's area that a crop keeps, in (0, 1].
        flip: Whether every second view is mirrored left to right.
        jitter: Strength of the colour changes, at least 0; 0 also keeps views from turning grey.
        blur: Part of the views that are blurred, in [0, 1].

    References:
        [0] Chen et al., A simple framework for contrastive learning of visual representations,
            ICML 2020, appendix A.
    """

    def __init__(
        self, area: float = 0.2, flip: bool = True, jitter: float = 0.5, blur: float = 0.0
    ) -> None:
        self.area, self.flip, self.jitter, self.blur = area, flip, jitter, blur

    def __call__(self, x: Tensor) -> Tensor:
        """Returns one view of each image, float32 in [0, 255].

        Args:
            x: uint8 images ``(B, C, H, W)``, C 3 or 1.
        """
        x = random_resized_crop(x.float(), self.area, self.flip)
        if self.jitter:
            x = random_colours(x, self.jitter)
        return random_blur(x, self.blur) if self.blur else x


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """Returns a number for each image, ``(B, 1, 1, 1)``."""
    return torch.empty(len(x), 1, 1, 1, device=x.device).uniform_(low, high)


def random_resized_crop(x: Tensor, area: float, flip: bool = False) -> Tensor:
    """Cuts a box out of each image of ``(B, C, H, W)`` and enlarges it to H by W.

    Args:
        x: Images.
        area: Smallest part of the area that a box has, in (0, 1].
        flip: Mirror each with probability 1/2.
    """
    b, _, h, w = x.shape
    share = torch.empty(TRIES, b, device=x.device).uniform_(area, 1.0)
    low, high = map(math.log, RATIO)
    ratio = torch.empty(TRIES, b, device=x.device).uniform_(low, high).exp()
    # Sides of the boxes, as parts of the image's.
    sides = torch.stack([(share * ratio * h / w).sqrt(), (share / ratio * w / h).sqrt()])
    fits = (sides <= 1).all(dim=0)
    first = fits.int().argmax(dim=0)
    chosen = sides.gather(1, first.expand(2, 1, b)).squeeze(1)
    width, height = torch.where(fits.any(dim=0), chosen, 1.0)  # where none fits, all is kept
    # Centres in the coordinates of `grid_sample`, where an image reaches from -1 to 1.
    x_centre = torch.empty_like(width).uniform_(-1.0, 1.0) * (1 - width)
    y_centre = torch.empty_like(height).uniform_(-1.0, 1.0) * (1 - height)
    if flip:
        width = torch.where(torch.rand_like(width) < 0.5, width, -width)
    theta = x.new_zeros(b, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = width, x_centre
    theta[:, 1, 1], theta[:, 1, 2] = height, y_centre
    grid = F.affine_grid(theta, [b, 1, h, w], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def random_colours(x: Tensor, strength: float) -> Tensor:
    """Changes brightness, contrast, saturation and hue of most images, and turns some grey.

    Args:
        x: Images ``(B, C, H, W)`` in [0, 255]; those with one channel have only the first two.
        strength: Of the changes; 1 is the strength for ImageNet.
    """
    changed = _uniform(x, 0.0, 1.0) < JITTERED
    low, high = max(0.0, 1.0 - JITTER * strength), 1.0 + JITTER * strength
    most = min(HUE * strength, 0.5)
    factors = [torch.where(changed, _uniform(x, low, high), 1.0) for _ in range(3)]
    shift = torch.where(changed, _uniform(x, -most, most), 0.0)
    changes = [
        lambda x: brightness(x, factors[0]),
        lambda x: contrast(x, factors[1]),
        lambda x: saturation(x, factors[2]),
        lambda x: hue(x, shift),
    ]
    for i in torch.randperm(4).tolist():
        x = changes[i](x)
    return saturation(x, torch.where(_uniform(x, 0.0, 1.0) < GREYED, 0.0, 1.0))


def grey(x: Tensor) -> Tensor:
    """Returns the brightness of each pixel, ``(B, 1, H, W)``."""
    if x.shape[1] == 1:
        return x
    luma = torch.tensor(LUMA, device=x.device).view(1, 3, 1, 1)
    return (x * luma).sum(dim=1, keepdim=True)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the pixels of each image by its factor ``(B, 1, 1, 1)``."""
    return (x * factor).clamp(0.0, 255.0)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Multiplies each image's distance from its mean brightness by its factor."""
    return torch.lerp(grey(x).mean(dim=(1, 2, 3), keepdim=True), x, factor).clamp(0.0, 255.0)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Multiplies each image's distance from grey by its factor; 0 is grey."""
    return x if x.shape[1] == 1 else torch.lerp(grey(x), x, factor).clamp(0.0, 255.0)


def hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turns the hue of each image by its shift ``(B, 1, 1, 1)``, in turns of the colour circle."""
    if x.shape[1] == 1:
        return x
    value = x.amax(dim=1, keepdim=True)
    chroma = value - x.amin(dim=1, keepdim=True)
    r, g, b = (x / chroma.clamp_min(1e-6)).chunk(3, dim=1)
    r_largest, g_largest = x[:, :1] == value, x[:, 1:2] == value
    sixths = torch.where(r_largest, g - b, torch.where(g_largest, b - r + 2.0, r - g + 4.0))
    offset = torch.tensor([5.0, 3.0, 1.0], device=x.device).view(1, 3, 1, 1)
    k = (offset + sixths + 6.0 * shift) % 6.0
    return value - chroma * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)


def random_blur(x: Tensor, probability: float) -> Tensor:
    """Blurs some images of ``(B, C, H, W)`` by a Gaussian whose width is drawn for each."""
    b, c, h, w = x.shape
    some = (torch.rand(b, device=x.device) < probability).nonzero().squeeze(1)
    if len(some) == 0:
        return x
    sigma = torch.empty(len(some), 1, device=x.device).uniform_(*SIGMA)
    at = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=x.device)
    kernel = torch.softmax(-0.5 * (at / sigma).square(), dim=1).repeat_interleave(c, dim=0)
    # Every channel of every image is a channel of one image, with a kernel of its own.
    blurred = x[some].reshape(1, -1, h, w)
    blurred = F.pad(blurred, (BLUR_RADIUS,) * 4, mode="replicate")
    for shape in ((-1, 1, 1, 2 * BLUR_RADIUS + 1), (-1, 1, 2 * BLUR_RADIUS + 1, 1)):
        blurred = F.conv2d(blurred, kernel.view(shape), groups=len(kernel))
    return x.index_copy(0, some, blurred.view(-1, c, h, w))
