"""The two ways in which a run ends badly on purpose."""

from collections.abc import Iterable


class UserError(Exception):
    """Input that cannot be used; the CLI prints one line a problem and exits with code 2.

    Args:
        problems: One line each: what was given, what is allowed, what to type.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RunError(Exception):
    """A run that had to stop (non-finite loss, full disk, ...); exit code 1, run folder kept."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'?"`` for the closest of ``known``, or an empty string."""
    import difflib  # only on the way to an error: `tltool --help` must start fast

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
