import numpy as np
import pytest
import torch

from tltool.data.datamodule import DataModule
from tltool.data.feeds.pair import Pair
from tltool.data.feeds.plain import Plain
from tltool.data.preprocessing import Preprocessing
from tltool.data.table import Table
from tltool.data.transforms import Prepare

UNIT = Preprocessing(size=8, channels=1, mean=(0.0,), std=(1.0,))


def module(augment: str = "none") -> DataModule:
    """20 images whose label is their row number: rows 0-11 are source, 12-19 target."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=generator)
    rows = {("source", "train"): np.arange(12), ("target", "train"): np.arange(12, 20)}
    table = Table(x, torch.arange(20), rows, tuple(map(str, range(20))))
    return DataModule(table, Prepare(UNIT, augment), batch_size=4, eval_batch_size=8, seed=5)


def test_an_epoch_holds_the_steps_that_are_served():
    data = module()
    data.choose("pair", {}, first=0)
    data.serve(range(2, 5))
    batches = list(data.train_dataloader())
    feed = Pair(data.table, 4, seed=5)
    assert len(batches) == 3
    for step, batch in zip(range(2, 5), batches, strict=True):
        assert torch.equal(batch["source"]["y"], feed[step]["source"]["y"])
        assert torch.equal(batch["target"]["x"], feed[step]["target"]["x"])


def test_a_later_stage_goes_on_where_the_one_before_ended():
    data = module()
    data.choose("plain", {"domain": "source"}, first=7)
    data.serve(range(2, 4))
    feed = Plain(data.table, 4, seed=5)
    for step, batch in zip(range(9, 11), data.train_dataloader(), strict=True):
        assert torch.equal(batch["y"], feed[step]["y"])


def test_the_examples_of_a_feed_come_once_in_order_and_unchanged():
    data = module(augment="flip_crop")
    batches = list(data.examples("plain", {"domain": "target"}, torch.device("cpu")))
    assert torch.cat([batch["y"] for batch in batches]).tolist() == list(range(12, 20))
    x = torch.cat([batch["x"] for batch in batches])
    torch.testing.assert_close(x, data.table.x[12:] / 255)


def test_examples_come_shuffled_on_demand_and_the_same_way_every_time():
    data, orders = module(), []
    for _ in range(2):
        batches = data.examples("plain", {"domain": "target"}, torch.device("cpu"), shuffled=True)
        orders.append(torch.cat([batch["index"] for batch in batches]).tolist())
    assert orders[0] == orders[1] != sorted(orders[0])
    assert sorted(orders[0]) == list(range(12, 20))


def test_every_x_of_a_batch_is_prepared_and_nothing_else():
    data = module()
    raw = Pair(data.table, 4, seed=5)[0]
    batch = data.on_after_batch_transfer(raw, 0)
    torch.testing.assert_close(batch["source"]["x"], raw["source"]["x"] / 255)
    torch.testing.assert_close(batch["target"]["x"], raw["target"]["x"] / 255)
    assert batch["source"]["y"] is raw["source"]["y"]
    assert raw["source"]["x"].dtype == torch.uint8


def test_views_are_prepared_one_by_one_and_labels_by_task_are_left_alone():
    data = module(augment="flip_crop")
    x = data.table.x
    torch.manual_seed(0)
    batch = data.on_after_batch_transfer({"views": [x, x], "y": {"colour": x}}, 0)
    first, second = batch["views"]
    assert first.dtype == second.dtype == torch.float32 and not torch.equal(first, second)
    assert batch["y"]["colour"] is x


def test_inputs_that_are_dicts_pass_unchanged():
    tokens = {"input_ids": torch.zeros(2, 3, dtype=torch.uint8)}
    assert module().on_after_batch_transfer({"x": tokens}, 0)["x"] is tokens


def test_evaluation_keeps_order_serves_every_row_and_does_not_augment():
    data = module(augment="flip_crop")
    rows = np.array([19, 3, 4, 7, 0, 1, 2, 5, 6])
    batches = list(data.evaluation_batches(rows, torch.device("cpu")))
    assert [len(x) for x, _ in batches] == [8, 1]
    assert torch.cat([y for _, y in batches]).tolist() == rows.tolist()
    torch.testing.assert_close(torch.cat([x for x, _ in batches]), data.table.x[rows] / 255)


def test_an_unknown_feed_is_refused():
    with pytest.raises(ModuleNotFoundError, match="tltool.data.feeds.missing"):
        module().feed("missing")
