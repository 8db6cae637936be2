"""`tltool eval` and `tltool predict`: use a trained run."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tltool.cli.options import RunDir
from tltool.errors import UserError


def evaluate(
    run: RunDir,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics as JSON.")] = False,
) -> None:
    """Score a trained run again, on its own test splits."""
    from rich.console import Console

    from tltool.report.tables import print_results
    from tltool.run.apply import evaluate_run

    results = evaluate_run(run, Console(stderr=True))
    if as_json:
        print(json.dumps(results["metrics"], indent=2))
    else:
        print_results(Console(), results, run)


def predict(
    run: RunDir,
    path: Annotated[
        Path,
        typer.Argument(
            help="An image, a folder of images, or a .csv, .parquet or .jsonl table with a column "
            "'path'; for a run on texts a table with its column of texts, or a .txt file with a "
            "text a line.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="CSV file; otherwise printed.")] = None,
) -> None:
    """Predict labels: CSV with path or text, label, and score (its probability, 0 to 1).

    What is of none of the classes is unknown, where the strategy rejects; numbers have no score.
    """
    from rich.console import Console

    from tltool.run.apply import predict as predict_examples

    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    text, count = predict_examples(run, path, Console(stderr=True))
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}") from error
    print(f"{count} predictions in {out}")
