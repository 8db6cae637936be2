"""What a reader is, and the few things that all of them share.

A reader is built and checked before anything heavy is imported, so its module imports only the
standard library; `datasets`, numpy and the like are imported inside its methods.
"""

import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tltool.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from datasets import Dataset

ONLY_IN_TARGET = "only_in_target"  # the column of classes that the source lacks
NAMED = 10  # classes named in a message


DOMAIN_NAME = "domain_name"  # the column that tells several sources apart


class Reader(ABC):
    """Turns one source of examples into one table; flat typed keywords in, `datasets.Dataset` out.

    Attributes:
        modalities: What its examples may be: ``image``, ``text``; ``modality`` is what they are.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)

    @property
    def modality(self) -> str:
        """The kind of its examples, one of ``modalities``."""
        return self.modalities[0]

    @property
    def regression(self) -> bool:
        """Whether its labels are numbers, and no classes."""
        return False

    needs: ClassVar[tuple[str, ...]] = ()
    """Python modules beyond tltool's own dependencies."""

    extra: ClassVar[str] = ""
    """The extra of tltool that installs `needs`."""

    def check(self) -> None:
        """Looks for whatever would stop `read`, cheaply and without importing anything heavy.

        Raises:
            UserError: All problems found, one line each.
        """
        option = type(self).__module__.rpartition(".")[2]
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        problems = self.problems()
        if missing:
            wanted = f"'tltool[{self.extra}]'" if self.extra else " ".join(missing)
            problems.insert(0, f"dataset={option} needs {', '.join(missing)}: pip install {wanted}")
        if problems:
            raise UserError(*problems)

    @abstractmethod
    def problems(self) -> list[str]:
        """Returns what is wrong with the arguments or with what they point at, one line each."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a sha256 in hex that changes whenever `read` would return something else."""

    @abstractmethod
    def read(self) -> "Dataset":
        """Returns one table of all examples.

        Columns: ``image`` (`datasets.Image`) or ``text``, ``label`` (`datasets.ClassLabel`, -1
        where unknown; or float64, null where unknown), ``domain`` (``source`` or ``target``),
        ``split`` (``train``, ``val``, ``test``, or an empty string where the data carry none) and
        ``path`` (names the row within its domain).

        Further columns of `datasets.ClassLabel` may follow: ``domain_name``, which of several
        sources (-1 for the target); ``group``, the protected group; ``task:NAME``, the labels of a
        further task; and ``only_in_target``, the class of a target row where the source has no
        such class (its label is -1). And ``problem``: why a row cannot be used, an empty string
        where it can.

        Raises:
            UserError: The data cannot be used.
        """

    def provenance(self) -> dict[str, str]:
        """Returns where the examples come from, for the record: names, versions, revisions."""
        return {}


def make_table(
    images: Sequence[str | bytes],
    labels: Sequence[int],
    domains: Sequence[str],
    splits: Sequence[str],
    paths: Sequence[str],
    class_names: Sequence[str],
    sources: Sequence[int] = (),
    source_names: Sequence[str] = (),
    strangers: Sequence[str] = (),
) -> "Dataset":
    """Returns the table of `Reader.read` from equally long columns.

    Args:
        images: A file's path, or the bytes of an encoded image.
        labels: Indices into ``class_names``, or -1.
        domains: ``source`` or ``target``.
        splits: ``train``, ``val``, ``test`` or an empty string.
        paths: Names of the rows.
        class_names: In the order of the labels.
        sources: Where there are several: which one, -1 for the target.
        source_names: What they are called, in the order of their numbers.
        strangers: Names of classes that the source lacks, an empty string where a row is of none;
            no column is made of none.
    """
    from datasets import Dataset, Features, Image, Value

    text = Value("string")
    features = Features(
        image=Image(), label=class_label(class_names), domain=text, split=text, path=text
    )
    columns = {
        "image": [
            {"bytes": None, "path": image} if isinstance(image, str) else {"bytes": image}
            for image in images
        ],
        "label": labels,
        "domain": domains,
        "split": splits,
        "path": paths,
    }
    if source_names:
        columns[DOMAIN_NAME], features[DOMAIN_NAME] = sources, class_label(source_names)
    if named := sorted({name for name in strangers if name}):
        features[ONLY_IN_TARGET] = class_label(named)
        columns[ONLY_IN_TARGET] = numbers_of(strangers, named)
    return Dataset.from_dict(columns, features=features)


def class_label(class_names: Sequence[str]) -> Any:
    """Returns the `datasets.ClassLabel` of these names."""
    from datasets import ClassLabel

    return ClassLabel(names=list(class_names))


def numbers_of(names: Iterable[str | None], class_names: Sequence[str]) -> list[int]:
    """Returns the number of each name among those of the classes, -1 where it is none."""
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(class_names)}
    return [numbers.get(name, -1) for name in names]


def nothing_in_common(source: Iterable[str], target: Iterable[str]) -> str:
    """Returns why nothing can be transferred between these classes, or an empty string.

    Args:
        source: Names of the source's.
        target: Names of the target's; none where it has no labels.
    """
    ours, theirs = list(source), list(target)
    if not theirs or set(ours) & set(theirs):
        return ""
    return (
        f"the target has classes {_some(theirs)}, and none of them is in the source, which has "
        f"{_some(ours)}: call the same classes the same"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def encode_png(images: "npt.NDArray[np.uint8]") -> list[bytes]:
    """Returns each of ``images``, uint8 of shape (N, H, W) or (N, H, W, 3), as a PNG file."""
    from PIL import Image

    files = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        files.append(file.getvalue())
    return files


def package_file(package: str, relative: str) -> Path:
    """Returns a data file inside an installed package, without importing the package.

    Raises:
        UserError: The package is there, but not the file.
    """
    spec = importlib.util.find_spec(package)
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        if (path := Path(folder, relative)).is_file():
            return path
    raise UserError(f"the installed package {package} has no file {relative}: reinstall it")


def versions(*distributions: str) -> dict[str, str]:
    """Returns the installed version of each distribution."""
    return {name: importlib.metadata.version(name) for name in distributions}


def digest(*parts: object) -> str:
    """Returns the sha256, in hex, of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Returns the sha256, in hex, of what a file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(files: Mapping[str, Path]) -> str:
    """Returns a sha256, in hex, over the names and the content of many files.

    The answer is kept in the cache folder under the absolute path, size and modification time of
    every file, so that a second call reads none of them.
    """
    from tltool.data.cache import cache_root

    names = sorted(files)
    memo = cache_root() / "fingerprints" / f"{digest(_stat_signature(files, names))}.json"
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads(memo.read_text())["fingerprint"])
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
        contents = list(pool.map(file_digest, (files[name] for name in names)))
    fingerprint = digest(names, contents)
    with suppress(OSError):  # a shortcut only: a folder that cannot be written costs time
        write_json(memo, {"fingerprint": fingerprint})
    return fingerprint


def _stat_signature(files: Mapping[str, Path], names: Iterable[str]) -> list[object]:
    rows: list[object] = []
    for name in names:
        stat = files[name].stat()
        rows.append((name, str(files[name].absolute()), stat.st_size, stat.st_mtime_ns))
    return rows


def write_json(path: Path, content: object) -> None:
    """Writes JSON through a temporary file, so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content))
    os.replace(temporary, path)
