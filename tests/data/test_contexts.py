import numpy as np
import pytest
import torch

from tltool.data.contexts import in_contexts
from tltool.data.table import Table
from tltool.errors import UserError

CLASSES = 6


def table(classes: int = CLASSES) -> Table:
    """Three examples of each class; row 1 has no label."""
    y = torch.arange(3 * classes) % classes
    y[1] = -1
    names = tuple("abcdefghijkl"[:classes])
    return Table(torch.arange(3 * classes), y, {}, names)


def classes_of(parted: Table, before: Table) -> list[set[int]]:
    """Returns the classes whose examples each context holds."""
    of = parted.contexts.of
    return [set(before.y[of == j].tolist()) for j in range(len(parted.contexts))]


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_every_class_is_in_one_context_and_contexts_have_equally_many(scenario):
    before = table()
    found = classes_of(in_contexts(before, 3, scenario, seed=0), before)
    assert [len(one) for one in found] == [2, 2, 2]
    assert set.union(*found) == set(range(CLASSES))


def test_the_seed_draws_the_order_and_one_seed_draws_one():
    orders = [classes_of(in_contexts(table(), 3, "class", seed), table()) for seed in range(8)]
    again = [classes_of(in_contexts(table(), 3, "class", seed), table()) for seed in range(8)]
    assert orders == again
    assert len({str(order) for order in orders}) > 4


def test_in_the_task_scenario_the_classes_of_the_context_are_possible():
    parted = in_contexts(table(), 3, "task", seed=1)
    possible = [set(row.nonzero().flatten().tolist()) for row in parted.contexts.classes]
    assert possible == classes_of(parted, table())
    assert torch.equal(parted.y, table().y) and parted.class_names == table().class_names


def test_in_the_class_scenario_all_classes_are_possible():
    parted = in_contexts(table(), 2, "class", seed=1)
    assert parted.contexts.classes.shape == (2, CLASSES) and parted.contexts.classes.all()
    assert torch.equal(parted.y, table().y)


def test_in_the_domain_scenario_labels_are_places_within_the_context():
    parted = in_contexts(table(), 2, "domain", seed=1)
    assert parted.contexts.classes.shape == (2, 3) and parted.contexts.classes.all()
    assert len(parted.class_names) == 3
    for context in range(2):
        here = parted.contexts.of == context
        pairs = set(zip(table().y[here].tolist(), parted.y[here].tolist(), strict=True))
        assert len(pairs) == 3 and {place for _, place in pairs} == {0, 1, 2}


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_an_example_without_a_label_is_in_no_context(scenario):
    parted = in_contexts(table(), 3, scenario, seed=0)
    assert parted.y[1] == -1 and parted.contexts.of[1] == -1
    assert (parted.contexts.of >= 0).sum() == 3 * CLASSES - 1


def test_a_context_is_called_by_its_classes():
    parted = in_contexts(table(12), 4, "domain", seed=3)
    order = np.random.default_rng(3).permutation(12)
    first = ", ".join(sorted("abcdefghijkl"[c] for c in order[:3]))
    assert parted.contexts.names[0] == f"1: {first}"
    assert in_contexts(table(12), 3, "class", seed=3).contexts.names[2].endswith(", …")


@pytest.mark.parametrize(
    ("number", "scenario", "fit"),
    [(4, "class", "2 or 3 or 6"), (1, "task", "2 or 3 or 6"), (6, "domain", "2 or 3")],
)
def test_classes_that_cannot_be_shared_equally_are_refused_with_what_can(number, scenario, fit):
    with pytest.raises(UserError) as caught:
        in_contexts(table(), number, scenario, seed=0)
    expected = f"dataset.contexts={number}: 6 classes are shared equally by {fit} contexts"
    assert str(caught.value) == expected


def test_a_prime_number_of_classes_fits_no_domains():
    with pytest.raises(UserError, match="shared equally by no number of contexts"):
        in_contexts(table(5), 2, "domain", seed=0)
