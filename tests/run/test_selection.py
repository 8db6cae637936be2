from tltool.run.selection import RULES, Selection


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


def test_what_each_rule_looks_at():
    assert Selection("last").scored_on is None
    assert Selection("source_val").scored_on == ("source", "val")
    assert Selection("oracle").scored_on == ("target", "test")
    assert [rule for rule, on in RULES.items() if on and on[0] == "target"] == ["oracle"]


def test_a_selection_goes_on_from_its_state():
    state = chosen("source_val", [0.5, 0.7]).state()
    assert state == {"rule": "source_val", "epoch": 2, "score": 0.7}
    resumed = Selection(**state)
    assert not resumed.better(3, 0.7) and resumed.better(4, 0.8)
