"""The command line: options only; whatever is heavy is imported when a command needs it."""

import sys

from tltool.errors import RunError, UserError

BAD_INPUT = 2
FAILED = 1


def main() -> None:
    """Runs the command line; an error is one line on stderr for each problem, no traceback."""
    from tltool.run.ranks import follow_main_process, is_main_process

    if not is_main_process():
        follow_main_process()
    from tltool.cli.app import app

    try:
        app()
    except UserError as error:
        _tell(*error.problems)
        sys.exit(BAD_INPUT)
    except RunError as error:
        if is_main_process():  # all ranks fail alike, and Lightning kills rank 0 if another does
            _tell(str(error))
            sys.exit(FAILED)


def _tell(*problems: str) -> None:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
