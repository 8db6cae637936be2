"""Which epoch's weights are kept and reported."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tltool.evaluation.validators import HOLD_OUT, VALIDATORS

LAST, ORACLE = "last", "oracle"
RULES = (LAST, *VALIDATORS, ORACLE)
# Rules that score the accuracy of a (domain, split), whatever the evaluation.
SPLITS = {"source_val": ("source", "val"), ORACLE: ("target", "test")}


def column(rule: str, metric: str = "accuracy") -> str:
    """Returns the column of metrics.csv that holds a rule's scores.

    Args:
        rule: One of `RULES`.
        metric: What the run's evaluation chooses by, where it scores a split.
    """
    return f"{'_'.join(SPLITS[rule])}/{metric}" if rule in SPLITS else f"validator/{rule}"


def recorded(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the rules whose score is recorded at every epoch, that of `selection` among them."""
    wanted = config["validator"] or ()
    names = RULES[1:] if wanted == "all" else [wanted] if isinstance(wanted, str) else wanted
    chosen = {*names, config["selection"]} - {LAST}
    return tuple(rule for rule in RULES if rule in chosen)


def holds_out(config: Mapping[str, Any]) -> bool:
    """Whether a part of the source is not trained on, since something scores on it."""
    return not HOLD_OUT.isdisjoint(recorded(config))


@dataclass
class Selection:
    """The best epoch so far.

    Args:
        rule: One of `RULES`.
        epoch: Counted from 1.
        score: The higher the better; ``None`` under ``last``.
    """

    rule: str
    epoch: int = 0
    score: float | None = None

    @property
    def chooses(self) -> bool:
        """Whether epochs are compared at all."""
        return self.rule != LAST

    def better(self, epoch: int, score: float | None) -> bool:
        """Takes an epoch in; returns whether it is the best. Of equals the first one stays."""
        if score is not None and self.score is not None and score <= self.score:
            return False
        self.epoch, self.score = epoch, score
        return True

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps."""
        return asdict(self)
