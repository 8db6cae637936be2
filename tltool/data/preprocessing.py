"""What happens to an example before the backbone sees it; it comes from the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tltool.errors import UserError

if TYPE_CHECKING:
    from tltool.data.options import DataOptions
    from tltool.data.store import Store
    from tltool.data.transforms import Prepare

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Augment = Literal["none", "flip", "flip_crop"]


class Conversion(ABC):
    """Turns examples of one kind into what a backbone takes, in two steps.

    The first is done once and kept on disk (`store`), the second on every batch (`prepare`).

    Attributes:
        modality: The kind of example.
    """

    modality: ClassVar[str]

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Returns all that decides what comes out, as JSON can hold it."""

    @abstractmethod
    def store(self) -> Store:
        """Returns what makes, keeps and reads the stored examples."""

    @abstractmethod
    def prepare(self, options: DataOptions, channels_last: bool) -> Prepare:
        """Returns what turns a batch of stored examples into the backbone's.

        Args:
            options: How batches are changed at random.
            channels_last: Lay images out as the faster kernels want them.

        Raises:
            UserError: Examples of this kind cannot be augmented so.
        """


@dataclass(frozen=True)
class Preprocessing(Conversion):
    """Resize the short side to ``size / crop_pct``, crop the centre, scale to [0, 1], normalise.

    Args:
        size: Side of the square that the backbone takes, in pixels.
        channels: 3 (RGB) or 1 (grey).
        mean: Per channel, of values in [0, 1].
        std: Per channel, of values in [0, 1].
        interpolation: Of the resize.
        crop_pct: Part of the resized short side that the centre crop keeps, in (0, 1].
    """

    modality: ClassVar[str] = "image"

    size: int = 28
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: Interpolation = "bilinear"
    crop_pct: float = 1.0

    def describe(self) -> dict[str, Any]:
        """Returns all fields."""
        return asdict(self)

    def store(self) -> Store:
        """Returns what decodes images and keeps their pixels."""
        from tltool.data.decoded import Decoded

        return Decoded(self)

    def prepare(self, options: DataOptions, channels_last: bool) -> Prepare:
        """Returns what normalises pixels, after random changes."""
        from tltool.data.transforms import Prepare
        from tltool.data.views import Views

        views = Views(options.view_area, options.view_flip, options.view_jitter, options.view_blur)
        return Prepare(self, options.augment, channels_last, views)


@dataclass(frozen=True)
class Tokenisation(Conversion):
    """Cut a text into tokens and keep the first ones.

    Args:
        tokenizer: Name of the tokenizer.
        sha256: Of all that decides how it cuts.
        max_length: How many tokens are kept, those that mark the ends among them.
        pad: The token that fills a text up to the longest of its batch.
        encode: Maps texts to their tokens, at most ``max_length`` of each.
    """

    modality: ClassVar[str] = "text"

    tokenizer: str
    sha256: str
    max_length: int
    pad: int
    encode: Callable[[Sequence[str]], list[list[int]]] = field(repr=False, compare=False)

    def describe(self) -> dict[str, Any]:
        """Returns all fields but the tokenizer itself."""
        names = ("tokenizer", "sha256", "max_length", "pad")
        return {name: getattr(self, name) for name in names}

    def store(self) -> Store:
        """Returns what tokenises texts and keeps their tokens."""
        from tltool.data.tokens import Tokenised

        return Tokenised(self)

    def prepare(self, options: DataOptions, channels_last: bool) -> Prepare:
        """Returns what leaves batches as they are."""
        from tltool.data.transforms import Unchanged

        if options.augment != "none":
            raise UserError(
                f"dataset.augment={options.augment}: changes images, and the backbone takes text: "
                "type dataset.augment=none"
            )
        return Unchanged()
