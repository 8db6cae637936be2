"""Characters of invented alphabets, drawn by a program: nothing to download."""

from typing import TYPE_CHECKING

from tltool.data.readers.base import Reader, digest, encode_png, make_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from datasets import Dataset

    Floats = npt.NDArray[np.float64]

VERSION = 1  # of how strokes become images: raise it with every change to that
SIDE = 56  # pixels of an image; twice what the small networks take
MARGIN = 10  # pixels between the grid of a character and the edge
STEPS = 16  # straight pieces that a stroke is drawn in
# Of one drawing, standard deviations: of its turn in radians, of its width and height, and of its
# place, both in parts of the side; and its pen's width in pixels, the upper bound not reached.
TURN, STRETCH, SHIFT, WIDTHS = 0.2, 0.15, 0.06, (3, 6)
TEST_PART = 4  # the last 1/4 of the alphabets, rounded up, is for testing


class Glyphs(Reader):
    """Synthetic: each character is two to four random curves, drawn several times by shaky hands.

    A stroke is a cubic Bézier curve between two points of a grid, bent at random. An alphabet has
    its own grid, curvature and number of strokes. A drawing of a character moves every control
    point, turns, scales and shifts the whole, and has a pen of its own width. Nobody wrote these
    characters: figures on them say that a method works, and nothing about real handwriting.

    Light ink on dark, 56 pixels. The characters of a quarter of the alphabets are the test split.

    Args:
        alphabets: How many.
        characters: Of each alphabet.
        drawings: Of each character.
        jitter: How far a control point is moved, standard deviation in parts of the side.
        seed: Of everything here; apart from the run's `seed`, so that all runs see the same images.
    """

    def __init__(
        self,
        alphabets: int = 20,
        characters: int = 15,
        drawings: int = 20,
        jitter: float = 0.05,
        seed: int = 0,
    ) -> None:
        self.alphabets = alphabets
        self.characters = characters
        self.drawings = drawings
        self.jitter = jitter
        self.seed = seed

    def problems(self) -> list[str]:
        """Returns numbers that are too small."""
        least = {"alphabets": 2, "characters": 2, "drawings": 2, "jitter": 0, "seed": 0}
        return [
            f"dataset.{name}={value}: {low} or more"
            for name, low in least.items()
            if (value := getattr(self, name)) < low
        ]

    def fingerprint(self) -> str:
        """Returns a sha256 over the options and the version of the drawing."""
        return digest("glyphs", VERSION, *vars(self).values())

    def read(self) -> "Dataset":
        """Returns all drawings, grey, with their split."""
        import numpy as np

        images, names, splits, paths = list[bytes](), list[str](), list[str](), list[str]()
        first_test = self.alphabets - -(-self.alphabets // TEST_PART)
        for alphabet in range(self.alphabets):
            # One stream each: an alphabet is the same however many there are.
            rng = np.random.default_rng([self.seed, alphabet])
            for character, strokes in enumerate(invent(self.characters, rng)):
                name = f"alphabet{alphabet:02}/character{character:02}"
                drawn = [draw(strokes, self.jitter, rng) for _ in range(self.drawings)]
                images += encode_png(np.stack(drawn))
                names += [name] * self.drawings
                splits += ["test" if alphabet >= first_test else "train"] * self.drawings
                paths += [f"{name}/{number:02}" for number in range(self.drawings)]
        classes = sorted(set(names))
        index = {name: number for number, name in enumerate(classes)}
        labels = [index[name] for name in names]
        return make_table(images, labels, ["source"] * len(names), splits, paths, classes)


def invent(characters: int, rng: "np.random.Generator") -> "list[Floats]":
    """Returns the strokes ``(S, 4, 2)`` of each character of a new alphabet.

    The four control points of a stroke are x and y in [0, 1], those of a bend maybe beyond.
    """
    import numpy as np

    across = [np.linspace(0, 1, points) for points in rng.integers(3, 5, size=2)]
    grid = np.stack(np.meshgrid(*across), axis=-1).reshape(-1, 2)
    bend, most = rng.uniform(0.1, 0.45), rng.integers(2, 5)
    thirds = np.array([[2, 1], [1, 2]]) / 3  # of the way, where the bends of a straight line are
    found = []
    for _ in range(characters):
        # One stroke begins where the one before it ends, as a pen would have it.
        stops = grid[rng.choice(len(grid), rng.integers(2, most + 1) + 1, replace=False)]
        ends = np.stack([stops[:-1], stops[1:]], axis=1)
        bends = thirds @ ends + rng.normal(scale=bend, size=ends.shape)
        found.append(np.concatenate([ends[:, :1], bends, ends[:, 1:]], axis=1))
    return found


def draw(strokes: "Floats", jitter: float, rng: "np.random.Generator") -> "npt.NDArray[np.uint8]":
    """Returns one drawing ``(SIDE, SIDE)`` of a character, white on black.

    Args:
        strokes: See `invent`.
        jitter: See `Glyphs`.
        rng: Draws the hand and the pen.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    t = np.linspace(0, 1, STEPS + 1)[:, None]
    bernstein = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    curves = bernstein @ (strokes + rng.normal(scale=jitter, size=strokes.shape))
    angle = rng.normal(scale=TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch, shift = rng.normal(1, STRETCH, size=2), rng.normal(scale=SHIFT, size=2)
    placed = (curves - 0.5) * stretch @ turn + 0.5 + shift
    pixels = MARGIN + placed * (SIDE - 2 * MARGIN)
    image = Image.new("L", (SIDE, SIDE))
    pen, width = ImageDraw.Draw(image), int(rng.integers(*WIDTHS))
    for curve in pixels:
        pen.line([tuple(point) for point in curve], fill=255, width=width, joint="curve")
    return np.asarray(image)
