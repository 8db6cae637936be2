import numpy as np
import pytest

from tltool.data.splits import assign_splits, held_out, hold_out_validation


def rng(seed=0):
    return np.random.default_rng(seed)


def test_every_class_gives_its_share():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    marked = held_out(labels, 0.2, rng())
    assert np.bincount(labels[marked]).tolist() == [20, 10, 2]


def test_remainders_sum_to_the_rounded_total():
    labels = np.repeat(np.arange(10), 7)  # 7 * 0.3 = 2.1 each: 20 at once, one more from someone
    counts = np.bincount(labels[held_out(labels, 0.3, rng())], minlength=10)
    assert counts.sum() == 21
    assert set(counts) == {2, 3}


def test_a_class_never_gives_its_last_image():
    labels = np.array([0, 1, 2, 2])
    marked = held_out(labels, 0.9, rng())
    assert not marked[:2].any()
    assert marked[2:].sum() == 1


def test_at_least_one_image_is_held_out():
    assert held_out(np.zeros(3, dtype=int), 0.01, rng()).sum() == 1


def test_no_fraction_or_no_image_holds_nothing_out():
    assert not held_out(np.zeros(9, dtype=int), 0.0, rng()).any()
    assert held_out(np.zeros(0, dtype=int), 0.5, rng()).shape == (0,)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction"):
        held_out(np.zeros(4, dtype=int), fraction, rng())


def test_which_images_are_drawn_depends_on_the_seed_only():
    labels = np.repeat([0, 1], 50)
    once = held_out(labels, 0.2, rng(1))
    assert (once == held_out(labels, 0.2, rng(1))).all()
    assert (once != held_out(labels, 0.2, rng(2))).any()


def table(source="", target=""):
    labels = np.concatenate([np.arange(40) % 4, np.full(20, -1)])
    domains = np.repeat(["source", "target"], [40, 20])
    return labels, domains, np.repeat(np.array([source, target], dtype="<U5"), [40, 20])


def test_images_without_a_split_get_one_in_each_domain():
    labels, domains, splits = table()
    assigned = assign_splits(labels, domains, splits, 0.2, seed=0)
    test = assigned == "test"
    assert np.bincount(labels[test & (domains == "source")]).tolist() == [2, 2, 2, 2]
    assert (test & (domains == "target")).sum() == 4
    assert set(assigned) == {"train", "test"}
    assert (splits == "").all()  # what was given is left alone


def test_a_split_in_the_data_is_kept():
    labels, domains, splits = table("train", "train")
    splits[[0, 1, 45]] = "test"
    splits[2] = "val"
    assert (assign_splits(labels, domains, splits, 0.5, seed=0) == splits).all()


def test_a_domain_with_train_images_only_gets_a_test_split():
    labels, domains, splits = table("train", "train")
    splits[[0, 1]] = "val"
    splits[-1] = "test"
    assigned = assign_splits(labels, domains, splits, 0.25, seed=0)
    source = domains == "source"
    assert (assigned[source] == "test").sum() == round(38 * 0.25)
    assert assigned[:2].tolist() == ["val", "val"]
    assert (assigned[~source] == splits[~source]).all()


def test_the_split_of_one_domain_does_not_depend_on_the_other():
    labels, domains, splits = table()
    target = domains == "target"
    both = assign_splits(labels, domains, splits, 0.2, seed=3)[target]
    alone = assign_splits(labels[target], domains[target], splits[target], 0.2, seed=3)
    assert (both == alone).all()


def test_validation_is_a_stratified_part_of_the_given_rows():
    labels = np.arange(100) % 5
    indices = np.arange(0, 100, 2)
    train, val = hold_out_validation(labels, indices, 0.2, seed=0)
    assert sorted([*train, *val]) == indices.tolist()
    assert np.bincount(labels[val]).tolist() == [2] * 5


def test_validation_does_not_depend_on_the_order_of_the_rows():
    labels = np.arange(60) % 3
    indices = rng().permutation(60)[:45]
    _, val = hold_out_validation(labels, indices, 0.2, seed=7)
    _, again = hold_out_validation(labels, np.sort(indices), 0.2, seed=7)
    _, other = hold_out_validation(labels, indices, 0.2, seed=8)
    assert val.tolist() == again.tolist() != other.tolist()


def test_validation_may_be_whole_classes():
    labels = np.arange(100) % 10
    train, val = hold_out_validation(labels, np.arange(100), 0.2, seed=0, by_class=True)
    assert sorted([*train, *val]) == list(range(100))
    assert len(set(labels[val])) == 2 and not set(labels[val]) & set(labels[train])
