import numpy as np
import pytest
import torch

from tltool.data.contexts import in_contexts
from tltool.data.feeds import feed_class
from tltool.data.feeds.contexts import Contexts
from tltool.data.table import Table
from tltool.errors import UserError

TRAIN, TEST = np.arange(0, 60), np.arange(60, 78)  # 10 and 3 of each class


def table(scenario: str = "task") -> Table:
    """78 examples of 6 classes in 3 contexts; the input is the row number."""
    rows = {("source", "train"): TRAIN, ("source", "test"): TEST}
    names = tuple("abcdef")
    plain = Table(torch.arange(78.0).view(78, 1), torch.arange(78) % 6, rows, names)
    return in_contexts(plain, 3, scenario, seed=0)


def rows_in(part) -> list[int]:
    return part["x"].flatten().int().tolist()


def seen(feed: Contexts, role: str = "context", steps: int = 20) -> set[int]:
    batches = [feed[step] for step in range(steps)]
    return {row for b in batches for row in rows_in(b["memory"] if role == "memory" else b)}


@pytest.mark.parametrize("context", [0, 1, 2])
def test_a_context_serves_its_training_rows_and_no_others(context):
    data = table()
    feed = Contexts(data, batch_size=8, seed=0, context=context)
    wanted = set(TRAIN[data.contexts.of.numpy()[TRAIN] == context].tolist())
    assert seen(feed) == wanted and len(wanted) == 20
    assert len(feed) == 3


def test_all_contexts_together_serve_all_training_rows():
    assert seen(Contexts(table(), 8, seed=0, memory=2)) == set(TRAIN.tolist())


@pytest.mark.parametrize("context", [None, 2])
def test_every_example_carries_the_classes_of_its_own_context(context):
    data = table()
    batch = Contexts(data, 16, seed=0, context=context, memory=2)[0]
    for part in [batch, batch["memory"]] if context else [batch]:
        assert part["classes"].shape == (16, 6)
        assert part["classes"].sum(dim=1).tolist() == [2] * 16
        assert part["classes"].gather(1, part["y"].unsqueeze(1)).all()
        assert torch.equal(part["y"], torch.tensor(rows_in(part)) % 6)


def test_the_memory_holds_so_many_of_each_class_before_and_nothing_else():
    data = table()
    of = data.contexts.of.numpy()
    assert "memory" not in Contexts(data, 8, seed=0, context=0, memory=3)[0]
    for context in (1, 2):
        held = Contexts(data, 8, seed=0, context=context, memory=3).pools()["memory"]
        assert len(held) == len(set(held.tolist())) == 3 * 2 * context
        assert set(held.tolist()) <= set(TRAIN.tolist())
        assert (of[held] < context).all()
        _, counts = np.unique(held % 6, return_counts=True)
        assert counts.tolist() == [3] * 2 * context
        served = Contexts(data, 8, seed=0, context=context, memory=3)
        assert seen(served, "memory") == set(held.tolist())


def test_what_is_remembered_stays_and_another_seed_remembers_something_else():
    first = Contexts(table(), 8, seed=0, context=1, memory=3).pools()["memory"]
    second = Contexts(table(), 8, seed=0, context=2, memory=3).pools()["memory"]
    assert second[: len(first)].tolist() == first.tolist()
    other = Contexts(table(), 8, seed=1, context=1, memory=3).pools()["memory"]
    assert set(other.tolist()) != set(first.tolist())


def test_in_the_domain_scenario_so_many_of_each_class_and_context_are_remembered():
    data = table("domain")
    held = Contexts(data, 8, seed=0, context=2, memory=3).pools()["memory"]
    of, y = data.contexts.of[held].tolist(), data.y[held].tolist()
    assert sorted(zip(of, y, strict=True)) == sorted([(j, c) for j in (0, 1) for c in (0, 1)] * 3)


def test_a_memory_larger_than_a_class_holds_all_of_it():
    held = Contexts(table(), 8, seed=0, context=1, memory=99).pools()["memory"]
    assert len(held) == 20


def test_an_epoch_of_the_run_is_one_pass_over_all_contexts():
    feed = Contexts(table(), 8, seed=0, context=1)
    assert (len(feed), feed.run_epoch) == (3, 8)  # 20 and 60 rows
    assert Contexts(table(), 8, seed=0).run_epoch == 8


def test_it_brings_its_evaluation():
    assert feed_class("contexts") is Contexts and Contexts.evaluation == "contexts"


def test_data_in_one_piece_are_refused_with_what_to_type():
    plain = Table(torch.zeros(4, 1), torch.arange(4), {("source", "train"): TRAIN[:4]}, ("a",))
    with pytest.raises(UserError, match="type dataset.contexts=5"):
        Contexts(plain, 2, seed=0)


def test_a_context_without_training_examples_is_refused():
    data = table()
    rest = TRAIN[data.contexts.of.numpy()[TRAIN] != 1]
    data.rows["source", "train"] = rest
    with pytest.raises(UserError, match="context 2: .* has no training examples"):
        Contexts(data, 2, seed=0, context=1)
