import pytest

from tltool.data.contexts import in_contexts
from tltool.run.budget import Budget, budgets
from tltool.strategies.base import Stage, Strategy


class Staged(Strategy):
    """Stages of a share and a feed each."""

    def __init__(self, *stages: Stage) -> None:
        super().__init__()
        self._stages = stages

    def stages(self):
        return self._stages


def test_epochs_are_rounded_up_and_the_last_one_may_be_shorter():
    budget = Budget(steps=10, epoch_steps=4, examples_per_step=0)
    assert budget.epochs == 3
    assert [budget.next_epoch(done) for done in (0, 4, 8)] == [
        range(0, 4),
        range(4, 8),
        range(8, 10),
    ]


def test_an_epoch_that_was_interrupted_goes_on_to_its_end():
    budget = Budget(steps=10, epoch_steps=4, examples_per_step=0)
    assert budget.next_epoch(5) == range(5, 8)
    assert budget.next_epoch(9) == range(9, 10)
    assert len(budget.next_epoch(10)) == 0


def test_epochs_that_fit_exactly():
    budget = Budget(steps=8, epoch_steps=4, examples_per_step=0)
    assert budget.epochs == 2 and budget.next_epoch(4) == range(4, 8)


@pytest.mark.parametrize(("steps", "epochs", "wanted"), [(7, None, 7), (None, 3, 12), (1, None, 1)])
def test_steps_or_epochs_set_the_length(toy_parts, steps, epochs, wanted):
    [budget] = budgets(toy_parts(Staged(Stage()), steps=steps, epochs=epochs))
    # 16 source images in batches of 4
    assert budget == Budget(steps=wanted, epoch_steps=4, examples_per_step=4)


def test_stages_share_the_steps_and_have_epochs_of_their_own_feeds(toy_parts):
    parts = toy_parts(Staged(Stage(share=3), Stage(share=1, feed="pair")), steps=20)
    assert budgets(parts) == [Budget(15, 4, 4), Budget(5, 4, 8)]  # a pair is 4 + 4 images


def test_stages_add_up_to_the_steps_asked_for(toy_parts):
    parts = toy_parts(Staged(Stage(), Stage(), Stage()), steps=7)
    assert [budget.steps for budget in budgets(parts)] == [2, 3, 2]  # ends at 2.33, 4.67 and 7


def test_a_stage_has_at_least_one_step(toy_parts):
    parts = toy_parts(Staged(Stage(share=100), Stage(share=1)), steps=10)
    assert [budget.steps for budget in budgets(parts)] == [10, 1]


def test_contexts_learned_in_turn_have_as_many_epochs_each_as_are_asked_for(toy_parts):
    stages = [Stage(feed="contexts", options={"context": i}) for i in range(2)]
    parts = toy_parts(Staged(*stages), steps=None, epochs=3)
    parts.datamodule.table = in_contexts(parts.table, 2, "class", seed=0)
    # 8 of 16 source images in each, in batches of 4
    assert budgets(parts) == [Budget(6, 2, 4), Budget(6, 2, 4)]
