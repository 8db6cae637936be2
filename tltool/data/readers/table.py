"""Tables of texts, or of paths of images: CSV, Parquet or JSON lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tltool.data.readers.base import (
    DOMAIN_NAME,
    ONLY_IN_TARGET,
    Reader,
    class_label,
    digest,
    nothing_in_common,
    numbers_of,
    tree_digest,
)
from tltool.data.readers.hub import SPLITS, natural
from tltool.data.readers.places import Place, listed, places, twice
from tltool.data.readers.records import SUFFIXES, Row, column_names, number, read_rows
from tltool.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from datasets import Dataset

TASK = "task:"  # what the name of a column with a task's labels begins with, see `Reader.read`
FIRST = 3  # bad rows named where what is left is of no use


class TableFiles(Reader):
    """Your own texts, or images that a table names: a CSV, Parquet or JSON-lines file each domain.

    The first line of a CSV file names the columns. The target may lack the column of labels, or
    some labels: those rows are unlabelled. It may lack classes of the source, and have others.

    Args:
        source: File of the labelled domain (.csv, .jsonl or .parquet); or several, as ``[A,B]``,
            each a domain called like its file. The classes are those of all together.
        target: File of the other domain, or none.
        text: Column of the texts.
        image: Column of image paths, relative to the file; then texts are not read.
        label: Column of the classes.
        group: Column of the protected group; rows without one are of no group.
        tasks: Columns of the labels of tasks that are learned together, beside ``label``.
        split: Column that says ``train``, ``val`` or ``test``, where there is one; rows that say
            nothing are split as in data without.
        regression: Labels are numbers, and no classes.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text", "image")

    def __init__(
        self,
        source: str | Sequence[str],
        target: str | None = None,
        text: str = "text",
        image: str | None = None,
        label: str = "label",
        group: str | None = None,
        tasks: tuple[str, ...] = (),
        split: str | None = None,
        regression: bool = False,
    ) -> None:
        self.source, self.target = source, target
        self.text, self.image, self.label = text, image, label
        self.group, self.tasks, self.split = group, tasks, split
        self._regression = regression

    @property
    def modality(self) -> str:
        """Texts, unless a column of image paths is named."""
        return "text" if self.image is None else "image"

    @property
    def regression(self) -> bool:
        """As it was asked for."""
        return self._regression

    def problems(self) -> list[str]:
        """Returns files that are missing or no tables, and columns that they do not have."""
        if not listed(self.source):
            return [f"dataset.source is missing: dataset.source=FILE ({', '.join(SUFFIXES)})"]
        files = self._files()
        problems = twice(files)
        problems += [
            f"dataset.{key}: what it names is compared class by class, and dataset.regression=true "
            "has numbers: leave it out"
            for key in ("group", "tasks")
            if self._regression and getattr(self, key)
        ]
        for domain, path in [] if problems else [(one.domain, one.path) for one in files]:
            given = f"dataset.{domain}={path}"
            if not path.is_file():
                what = "a folder, where a file is wanted" if path.is_dir() else "no such file"
                problems.append(f"{given}: {what}")
            elif path.suffix.lower() not in SUFFIXES:
                problems.append(f"{given}: {' or '.join(SUFFIXES)} wanted, by its name")
            else:
                try:
                    problems += self._column_problems(domain, path, column_names(path))
                except (OSError, ValueError) as error:
                    problems.append(f"{given}: cannot be read as a table ({_line(error)})")
        return list(dict.fromkeys(problems))

    def fingerprint(self) -> str:
        """Returns a sha256 over the files and their names, the images they name, and all keys."""
        files = {f"{place.domain}/{_shown(place)}": place.path for place in self._files()}
        missing = []
        if self.image is not None:
            for place in self._files():
                for row in read_rows(place.path, [self.image]):
                    name = row.values.get(self.image, "")
                    if (found := place.path.parent / name).is_file():
                        files[f"{place.key}/images/{name}"] = found
                    else:
                        missing.append(name)
        keys = (self.text, self.image, self.label, self.group, self.tasks, self.split)
        names = [self._source_names()] if self._source_names() else []
        numbers = ["regression"] if self._regression else []
        return digest("table", tree_digest(files), missing, *keys, *names, *numbers)

    def read(self) -> "Dataset":
        """Returns all rows; those that cannot be used say why. Classes are the source's, sorted.

        Raises:
            UserError: As `check`; the source has fewer than two classes, or none of the target's.
        """
        if problems := self.problems():
            raise UserError(*problems)
        found = [(place, self._examples(place)) for place in self._files()]
        if self._regression:
            return self._table(found, None)
        source, target = (
            [one for place, some in found if place.domain == domain for one in some]
            for domain in ("source", "target")
        )
        classes = sorted({one.label for one in source if one.label}, key=natural)
        if len(classes) < 2:
            bad = [f"{one.name}: {one.problem}" for one in source if one.problem]
            raise UserError(
                f"dataset.label={self.label}: two classes or more wanted, "
                f"{' and '.join(listed(self.source))} {'have' if len(found) > 1 else 'has'} "
                f"{classes[0] if classes else 'none'} in {len(source)} rows",
                *bad[:FIRST],
                *([f"and {len(bad) - FIRST} more bad rows"] if len(bad) > FIRST else []),
            )
        theirs = sorted({one.label for one in target if one.label}, key=natural)
        if problem := nothing_in_common(classes, theirs):
            hint = "; if they are numbers, type dataset.regression=true"
            numbers = all(number(name) is not None for name in (*classes, *theirs))
            raise UserError(f"dataset.target={self.target}: {problem}{hint if numbers else ''}")
        return self._table(found, classes)

    def provenance(self) -> dict[str, str]:
        """Returns the files as absolute paths."""
        return {place.key: str(place.path.absolute()) for place in self._files()}

    def _files(self) -> list[Place]:
        return places(self.source, self.target)

    def _source_names(self) -> list[str]:
        """Returns what the sources are called, in their order; empty for a single one."""
        names = [place.name for place in self._files() if place.name]
        bare = [str(Path(name).with_suffix("")) for name in names]
        return bare if len(set(bare)) == len(names) else names

    def _columns(self) -> dict[str, str]:
        """Returns the columns that are read, by what they are."""
        content = {"text": self.text} if self.image is None else {"image": self.image}
        further = {"label": self.label, "group": self.group, "split": self.split}
        tasks = {f"{TASK}{name}": name for name in self.tasks}
        return content | {key: name for key, name in further.items() if name} | tasks

    def _class_columns(self) -> list[str]:
        """Returns which of them hold classes, beside the label."""
        return [key for key in self._columns() if key == "group" or key.startswith(TASK)]

    def _column_problems(self, domain: str, path: Path, known: list[str]) -> list[str]:
        columns, problems = self._columns(), []
        content = next(iter(columns))
        for key, name in columns.items():
            option, form = ("tasks", f"[{name}]") if key.startswith(TASK) else (key, name)
            given = f"dataset.{option}={form}"
            if name in known:
                if known.count(name) > 1:
                    problems.append(f"{given}: {path.name} has several columns {name}")
            elif domain == "source" or key == content:
                typed = form.replace(name, "COLUMN")
                problems.append(
                    f"{given}: no such column in {path.name}{did_you_mean(name, known)}; "
                    f"it has {', '.join(known)}: type dataset.{option}={typed}"
                )
            if key != content and name == columns[content]:
                problems.append(f"{given}: that is dataset.{content}, type another")
        return problems

    def _examples(self, place: Place) -> "list[Example]":
        """Returns what the rows of a file say; every row of a source has a label."""
        columns, known = self._columns(), set(column_names(place.path))
        read = [name for name in columns.values() if name in known]
        return [self._example(place, row, columns) for row in read_rows(place.path, read)]

    def _example(self, place: Place, row: Row, columns: dict[str, str]) -> "Example":
        labelled = place.domain == "source"
        found = {key: row.values.get(name, "") for key, name in columns.items()}
        content, split = found[next(iter(columns))], found.get("split", "")
        problem = row.problem
        if not problem and not content:
            problem = f"no {next(iter(columns))}"
        elif not problem and labelled and not found["label"]:
            problem = "no label"
        elif not problem and split and split.lower() not in SPLITS:
            problem = f"split {split} is not train, val or test"
        elif not problem and self._regression and found["label"]:
            wrong = number(found["label"]) is None
            problem = f"label {found['label']} is not a number" if wrong else ""
        return Example(
            f"{_shown(place)}:{row.line}",
            problem,
            content if self.image is None else str(place.path.parent / content),
            "" if problem else found["label"],
            {} if problem else {key: found[key] for key in self._class_columns()},
            SPLITS.get(split.lower(), ""),
        )

    def _table(
        self, found: "list[tuple[Place, list[Example]]]", classes: Sequence[str] | None
    ) -> "Dataset":
        from datasets import Dataset, Features, Image, Value

        examples = [one for _, some in found for one in some]
        of_place = [place for place, some in found for _ in some]
        text, labels = Value("string"), [one.label for one in examples]
        label = Value("float64") if classes is None else class_label(classes)
        features = {"label": label, "domain": text, "split": text, "path": text, "problem": text}
        columns: dict[str, list[Any]] = {
            "label": [number(one) for one in labels]
            if classes is None
            else numbers_of(labels, classes),
            "domain": [place.domain for place in of_place],
            "split": [one.split for one in examples],
            "path": [one.name for one in examples],
            "problem": [one.problem for one in examples],
        }
        if self.image is None:
            features["text"], columns["text"] = text, [one.content for one in examples]
        else:
            files = [{"bytes": None, "path": one.content} for one in examples]
            features["image"], columns["image"] = Image(), files
        further = {
            key: [one.further.get(key, "") for one in examples] for key in self._class_columns()
        }
        strangers = ["" if classes is None or one in classes else one for one in labels]
        if any(strangers):
            further[ONLY_IN_TARGET] = strangers
        for key, values in further.items():
            names = sorted(set(values) - {""}, key=natural)
            features[key], columns[key] = class_label(names), numbers_of(values, names)
        if sources := self._source_names():
            number_of = {place: n for n, place in enumerate(self._files()) if place.name}
            columns[DOMAIN_NAME] = [number_of.get(place, -1) for place in of_place]
            features[DOMAIN_NAME] = class_label(sources)
        return Dataset.from_dict(columns, features=Features(features))


@dataclass(frozen=True)
class Example:
    """What a row says.

    Args:
        name: File and line.
        problem: Why it cannot be used; else an empty string.
        content: The text, or the path of the image.
        label: Or an empty string.
        further: Group and labels of the tasks, by column of the table; each or an empty string.
        split: ``train``, ``val``, ``test`` or an empty string.
    """

    name: str
    problem: str
    content: str
    label: str
    further: Mapping[str, str]
    split: str


def _shown(place: Place) -> str:
    """Returns the name of a file; with folders before it where several sources share that."""
    return place.name or place.path.name


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
