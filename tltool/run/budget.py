"""How many steps each stage gets."""

from dataclasses import dataclass

from tltool.run.build import Parts


@dataclass(frozen=True)
class Budget:
    """Steps and epochs of one stage."""

    steps: int
    epoch_steps: int
    examples_per_step: int

    def next_epoch(self, done: int) -> range:
        """Returns the steps from ``done`` to the end of its epoch, or of the stage."""
        return range(done, min((done // self.epoch_steps + 1) * self.epoch_steps, self.steps))

    @property
    def epochs(self) -> int:
        """Epochs, the last one maybe shorter."""
        return -(-self.steps // self.epoch_steps)


def budgets(parts: Parts) -> list[Budget]:
    """Returns each stage's part of the run's `steps`, or of its `epochs`, at least one step."""
    stages = parts.model.strategy.stages()
    total = sum(stage.share for stage in stages)
    result, before = [], 0.0
    for stage in stages:
        feed = parts.datamodule.feed(stage.feed or parts.model.strategy.feed, stage.options)
        amount = parts.config["steps"] or parts.config["epochs"] * feed.run_epoch
        after = before + stage.share / total
        # Where a stage ends is rounded, not how long it is: the stages add up to the whole.
        steps = round(amount * after) - round(amount * before)
        result.append(Budget(max(1, steps), len(feed), feed.examples))
        before = after
    return result
