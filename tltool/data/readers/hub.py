"""Image datasets of the Hugging Face hub, and folders written by `Dataset.save_to_disk`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.data.readers.base import (
    ONLY_IN_TARGET,
    Reader,
    class_label,
    digest,
    nothing_in_common,
    numbers_of,
)
from tltool.data.readers.origin import Origin
from tltool.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
}
LABEL_COLUMNS = ("label", "labels", "class", "category", "target")  # where none is a ClassLabel


class Hub(Reader):
    """Any image dataset that `datasets.load_dataset` reads, or a folder saved with `save_to_disk`.

    The two domains are two datasets (``target_name``), two configurations of one dataset
    (``config`` and ``target_config``), or rows told apart by a column (``domain``, with its values
    in ``source`` and ``target``). Without any of these there is a source only. The target may lack
    classes of the source, and have others. Code of a dataset is never run.

    Args:
        name: On the hub, as in ``user/dataset``; or a folder.
        config: Configuration of the dataset.
        revision: Branch, tag or commit; a full commit needs no question to the hub.
        image: Column of the images, where there are several.
        label: Column of the classes, where it cannot be told: class labels, strings or integers.
        domain: Column that tells the domains apart.
        source: Value of that column for the source.
        target: Value of that column for the target.
        target_name: Dataset of the target, where it is another one.
        target_config: Its configuration.
        target_revision: Its revision.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        revision: str | None = None,
        image: str | None = None,
        label: str | None = None,
        domain: str | None = None,
        source: str | None = None,
        target: str | None = None,
        target_name: str | None = None,
        target_config: str | None = None,
        target_revision: str | None = None,
    ) -> None:
        self.name = name
        self.image = image
        self.label = label
        self.domain = domain
        self.values = {"source": source, "target": target}
        self._origins = {"source": Origin("name", name, config, revision)}
        if target_name or target_config:
            key = "target_name" if target_name else "name"
            self._origins["target"] = Origin(
                key, target_name or name, target_config, target_revision
            )

    def problems(self) -> list[str]:
        """Returns missing folders, impossible names and keys that contradict each other."""
        if not self.name:
            return ["dataset.name is missing: dataset.name=NAME, on the hub or a folder"]
        problems = [text for origin in self._origins.values() for text in origin.problems()]
        given = [f"dataset.{key}={value}" for key, value in self.values.items() if value]
        if self.domain and not self.values["source"]:
            problems.append(f"dataset.domain={self.domain}: also say dataset.source=VALUE")
        if self.domain and "target" in self._origins:
            problems.append("dataset.domain names the target already: no target_name, _config")
        if given and not self.domain:
            problems.append(f"{' '.join(given)}: in which column? dataset.domain=COLUMN")
        return problems

    def fingerprint(self) -> str:
        """Returns a sha256 over the content (of folders) or commit (on the hub), and all keys.

        Raises:
            UserError: The hub does not answer, or has no such dataset.
        """
        datasets = [
            (domain, origin.config, origin.version()) for domain, origin in self._origins.items()
        ]
        return digest("hub", datasets, self.image, self.label, self.domain, self.values)

    def read(self) -> "Dataset":
        """Returns the images of both domains.

        Raises:
            UserError: The hub does not answer, the columns cannot be told, the domains have no
                class in common, or the splits have names that say nothing.
        """
        parts = [
            part for domain, origin in self._origins.items() for part in _parts(domain, origin)
        ]
        domains = [domain for part in parts for domain in self._domains(part)]
        texts = [text for part in parts for text in self._texts(part)]
        self._check_domains(parts, domains)
        classes = self._classes(parts, domains, texts)
        strangers = [
            text if domain == "target" and text is not None and text not in classes else ""
            for domain, text in zip(domains, texts, strict=True)
        ]
        return _join(
            [part.data.select_columns([self._image_column(part)]) for part in parts],
            labels=numbers_of(texts, classes),
            domains=domains,
            splits=[part.split for part in parts for _ in range(len(part.data))],
            paths=[f"{part.name}/{row}" for part in parts for row in range(len(part.data))],
            classes=classes,
            strangers=strangers,
        )

    def provenance(self) -> dict[str, str]:
        """Returns names, configurations and revisions (on the hub, the commit)."""
        record = {}
        for domain, origin in self._origins.items():
            prefix = "" if domain == "source" else f"{domain}_"
            record[f"{prefix}name"] = origin.name
            record[f"{prefix}config"] = origin.config or "default"
            record[f"{prefix}revision"] = origin.version()
        return record

    def _domains(self, part: "Part") -> list[str]:
        """Returns the domain of every row, an empty string for rows of neither."""
        if not self.domain:
            return [part.domain] * len(part.data)
        named = {value: domain for domain, value in self.values.items()}
        texts = _texts(part.data, _column(part, "domain", self.domain))
        return [named.get(text, "") if text else "" for text in texts]

    def _check_domains(self, parts: "list[Part]", domains: list[str]) -> None:
        missing = [key for key, value in self.values.items() if value and key not in domains]
        if missing and self.domain:
            known = {text for part in parts for text in _texts(part.data, self.domain) if text}
            raise UserError(
                *(
                    f"dataset.{key}={self.values[key]}: not in column {self.domain}, "
                    f"which has {', '.join(sorted(known))}"
                    for key in missing
                )
            )

    def _texts(self, part: "Part") -> list[str | None]:
        """Returns the class of every row, None where unknown."""
        column = self._label_column(part)
        return _texts(part.data, column) if column else [None] * len(part.data)

    def _classes(
        self, parts: "list[Part]", domains: list[str], texts: list[str | None]
    ) -> list[str]:
        """Returns the source's classes: in its own order where it has one, else sorted."""
        seen: dict[str, set[str]] = {"source": set(), "target": set(), "": set()}
        for domain, text in zip(domains, texts, strict=True):
            if text is not None:
                seen[domain].add(text)
        source = parts[0]  # the source is loaded first
        declared = getattr(source.data.features[self._label_column(source)], "names", None)
        classes = list(declared or sorted(seen["source"], key=natural))
        if problem := nothing_in_common(classes, sorted(seen["target"], key=natural)):
            raise UserError(f"{parts[-1].name}: {problem}")
        return classes

    def _image_column(self, part: "Part") -> str:
        from datasets import Image

        if self.image:
            return _column(part, "image", self.image)
        found = [key for key, kind in part.data.features.items() if isinstance(kind, Image)]
        if len(found) != 1:
            raise _undecided(part, "image", found)
        return str(found[0])

    def _label_column(self, part: "Part") -> str | None:
        from datasets import ClassLabel

        features = part.data.features
        if self.label and (part.domain != "target" or self.label in features):
            return _column(part, "label", self.label)
        found = [
            key
            for key, kind in features.items()
            if isinstance(kind, ClassLabel) and key != self.domain
        ] or [key for key in LABEL_COLUMNS if key in features]
        if len(found) > 1 or (not found and part.domain != "target"):
            raise _undecided(part, "label", found)
        return found[0] if found else None


@dataclass(frozen=True)
class Part:
    """One split of one dataset, before the parts become one table.

    Args:
        name: Of the dataset, without its folder or user, and of its split.
        domain: ``source`` or ``target``, unless a column tells.
        split: ``train``, ``val``, ``test`` or an empty string.
        data: As the library returned it.
    """

    name: str
    domain: str
    split: str
    data: "Dataset"


def _parts(domain: str, origin: Origin) -> list[Part]:
    """Returns the splits of one domain; a single one may have any name."""
    found = origin.load()
    known = {name: SPLITS[name.lower()] for name in found if name.lower() in SPLITS}
    if len(found) == 1 and not known:
        known = dict.fromkeys(found, "")
    if "train" not in known.values() and "" not in known.values():
        raise UserError(
            f"dataset.{origin.key}={origin.name}: no train split, only {', '.join(found)}"
        )
    name = Path(origin.name).name
    return [
        Part(f"{name}/{key or 'all'}", domain, split, found[key]) for key, split in known.items()
    ]


def _column(part: Part, key: str, column: str) -> str:
    if column not in part.data.features:
        columns = ", ".join(part.data.features)
        raise UserError(f"dataset.{key}={column}: no such column in {part.name}, only {columns}")
    return column


def _undecided(part: Part, key: str, found: list[str]) -> UserError:
    columns = ", ".join(found or part.data.features)
    problem = "several columns could be" if found else "no column is known to be"
    return UserError(f"{part.name}: {problem} the {key}: dataset.{key}=COLUMN, one of {columns}")


def _texts(data: "Dataset", column: str) -> list[str | None]:
    """Returns a column as text; None for null and for the -1 of hidden class labels."""
    names = getattr(data.features[column], "names", None)
    values = data[column][:]
    if names is None:
        return [None if value is None else str(value) for value in values]
    return [None if value is None or value < 0 else str(names[value]) for value in values]


def natural(text: str) -> tuple[bool, int, str]:
    """Sorts numbers by value, before words."""
    return (False, int(text), text) if text.isdecimal() else (True, 0, text)


def _join(
    images: "list[Dataset]",
    labels: list[int],
    domains: list[str],
    splits: list[str],
    paths: list[str],
    classes: list[str],
    strangers: list[str],
) -> "Dataset":
    """Returns one table without copying images; rows of neither domain are left out."""
    import datasets

    same = [
        data.rename_columns({data.column_names[0]: "image"}).cast_column("image", datasets.Image())
        for data in images
    ]
    text = datasets.Value("string")
    columns: list[tuple[str, list[Any], Any]] = [
        ("label", labels, class_label(classes)),
        ("domain", domains, text),
        ("split", splits, text),
        ("path", paths, text),
    ]
    if named := sorted(set(strangers) - {""}, key=natural):
        columns.append((ONLY_IN_TARGET, numbers_of(strangers, named), class_label(named)))
    table = datasets.concatenate_datasets(same)
    for name, values, kind in columns:
        table = table.add_column(name, values, feature=kind)
    kept = [row for row, domain in enumerate(domains) if domain]
    return table if len(kept) == len(domains) else table.select(kept)
