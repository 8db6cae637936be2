from typing import get_args

import pytest

from tltool.config.schema import Validator
from tltool.evaluation.validators import HOLD_OUT, VALIDATORS
from tltool.run.selection import RULES, SPLITS, Selection, column, holds_out, recorded


def chosen(rule: str, scores) -> Selection:
    selection = Selection(rule)
    for epoch, score in enumerate(scores, start=1):
        selection.better(epoch, score)
    return selection


def test_the_best_score_wins_and_of_equals_the_first():
    selection = Selection("source_val")
    taken = [selection.better(*pair) for pair in [(1, 0.5), (2, 0.7), (3, 0.7), (4, 0.6)]]
    assert taken == [True, True, False, False]
    assert (selection.epoch, selection.score) == (2, 0.7)


def test_a_score_of_0_is_a_score():
    selection = chosen("source_val", [0.0, 0.0])
    assert (selection.epoch, selection.score) == (1, 0.0)


def test_last_keeps_the_last_epoch():
    selection = chosen("last", [None, None, None])
    assert (selection.epoch, selection.score) == (3, None)


def test_only_the_oracle_looks_at_the_target_s_labels():
    assert SPLITS == {"source_val": ("source", "val"), "oracle": ("target", "test")}
    assert column("source_val") == "source_val/accuracy"
    assert column("oracle") == "target_test/accuracy"
    assert column("snd") == "validator/snd"
    assert not Selection("last").chooses and Selection("snd").chooses


def test_the_configuration_knows_every_rule():
    assert set(get_args(Validator)) == set(VALIDATORS)
    assert HOLD_OUT < set(VALIDATORS)


def test_what_is_recorded():
    config = {"selection": "last", "validator": None}
    assert recorded(config) == () and not holds_out(config)
    assert recorded(config | {"selection": "snd"}) == ("snd",)
    assert recorded(config | {"validator": "snd"}) == ("snd",)
    both = recorded(config | {"validator": ["oracle", "dev"], "selection": "bnm"})
    assert set(both) == {"bnm", "dev", "oracle"}
    assert set(recorded(config | {"validator": "all"})) == set(RULES) - {"last"}


@pytest.mark.parametrize("rule", ["dev", "importance_weighted", "reverse_validation", "source_val"])
def test_who_looks_at_held_out_source_examples_has_them_held_out(rule):
    assert holds_out({"selection": "last", "validator": [rule]})
    assert holds_out({"selection": rule, "validator": None})


def test_a_selection_goes_on_from_its_state():
    state = chosen("source_val", [0.5, 0.7]).state()
    assert state == {"rule": "source_val", "epoch": 2, "score": 0.7}
    resumed = Selection(**state)
    assert not resumed.better(3, 0.7) and resumed.better(4, 0.8)
