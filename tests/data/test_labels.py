import numpy as np
import pytest

from tltool.data.labels import check_amount, draw_labels

NAMES = ("ant", "bee", "wasp")
LABELS = np.repeat([0, 1, 2, -1], [10, 20, 30, 5])
ROWS = np.arange(65)


def draw(amount, seed=0, rows=ROWS):
    return draw_labels(LABELS, rows, amount, seed, NAMES)


def count(kept):
    return np.bincount(LABELS[kept] + 1, minlength=4).tolist()


def test_every_class_gives_exactly_so_many_and_what_has_no_label_stays():
    assert count(draw(4)) == [5, 4, 4, 4]


@pytest.mark.parametrize(
    ("part", "wanted"), [("10%", [1, 2, 3]), ("1%", [1, 1, 1]), ("100%", [10, 20, 30])]
)
def test_a_part_is_of_each_class_and_at_least_one(part, wanted):
    assert count(draw(part)) == [5, *wanted]


def test_the_fewer_are_among_the_more():
    kept = [set(draw(amount).tolist()) for amount in (1, 3, "50%", "100%")]
    assert all(fewer < more for fewer, more in zip(kept, kept[1:], strict=False))


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    shuffled = np.random.default_rng(3).permutation(ROWS)
    assert draw(4).tolist() == draw(4, rows=shuffled).tolist() == sorted(draw(4))
    assert draw(4).tolist() != draw(4, seed=1).tolist()


def test_a_class_with_too_few_is_named():
    with pytest.raises(ValueError, match=r"labels_per_class=25: .* ant has 10, bee has 20$"):
        draw(25)
    said = r"^target_labels=11: of the target's training examples ant has 10$"
    with pytest.raises(ValueError, match=said):
        draw_labels(LABELS, ROWS, 11, 0, NAMES, "target_labels", "the target")


@pytest.mark.parametrize("amount", [0, -1, "0%", "101%", "ten", "10", "%"])
def test_what_is_no_number_of_labels_is_refused(amount):
    with pytest.raises(ValueError, match=f"labels_per_class={amount}: a number from 1 on"):
        check_amount(amount)
