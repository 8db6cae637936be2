"""Texts cut into tokens once, and batches of them filled up to their own length."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tltool.data.cache import Arrays, load_arrays
from tltool.data.options import DataOptions
from tltool.data.preprocessing import Tokenisation
from tltool.data.readers.table import TableFiles
from tltool.data.tokens import Tokenised, Tokens
from tltool.errors import UserError
from tltool.strategies.pairs import concat

PAD = 9


def words(texts: Sequence[str]) -> list[list[int]]:
    """A tokenizer whose tokens are the lengths of the first three words."""
    return [[len(word) for word in text.split()[:3]] for text in texts]


WORDS = Tokenisation("words", "1", max_length=3, pad=PAD, encode=words)


@pytest.fixture
def reader(tmp_path: Path) -> TableFiles:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\na bb,x\nccc,y\na bb ccc dddd,x\n,y\n")
    return TableFiles(str(path))


def skip(reader: TableFiles, tokenisation: Tokenisation, cache: bool = True) -> Arrays:
    return load_arrays(reader, tokenisation, on_error="skip", cache=cache)


def batch(tokens: Tokens, *rows: int) -> tuple[list[list[int]], list[list[int]]]:
    found = tokens[torch.tensor(rows)]
    assert {key: value.dtype for key, value in found.items()} == {
        "input_ids": torch.int64,
        "attention_mask": torch.int64,
    }
    return found["input_ids"].tolist(), found["attention_mask"].tolist()


@pytest.mark.parametrize("cache", [True, False])
def test_a_batch_is_as_long_as_its_longest_text(reader: TableFiles, cache: bool) -> None:
    tokens = skip(reader, WORDS, cache).inputs()
    assert len(tokens) == 3
    assert batch(tokens, 1) == ([[3]], [[1]])
    assert batch(tokens, 1, 0) == ([[3, PAD], [1, 2]], [[1, 0], [1, 1]])
    assert batch(tokens, 2, 1, 2) == (
        [[1, 2, 3], [3, PAD, PAD], [1, 2, 3]],
        [[1, 1, 1], [1, 0, 0], [1, 1, 1]],
    )


def test_a_batch_of_no_texts_and_a_text_of_no_tokens() -> None:
    tokens = Tokens(np.array([5], np.int32), np.array([0, 0, 1]), PAD)
    assert batch(tokens, 0) == ([[PAD]], [[0]])
    assert batch(tokens, 0, 1) == ([[PAD], [5]], [[0], [1]])
    assert tokens[torch.tensor([], dtype=torch.int64)]["input_ids"].shape == (0, 1)


def test_texts_are_tokenised_once(reader: TableFiles) -> None:
    def refuse(texts: Sequence[str]) -> list[list[int]]:
        raise AssertionError("tokenised again")

    first, again = skip(reader, WORDS), skip(reader, replace(WORDS, encode=refuse))
    assert (first.from_cache, again.from_cache) == (False, True)
    assert again.stored.ids.tolist() == first.stored.ids.tolist() == [1, 2, 3, 1, 2, 3]
    assert isinstance(again.stored.ids, np.memmap) and again.stored.ids.dtype == np.int32
    assert again.labels.tolist() == [0, 1, 0] and again.skipped == ["reviews.csv:5"]


@pytest.mark.parametrize(
    ("change", "again"), [({"sha256": "2"}, True), ({"max_length": 2}, True), ({"pad": 8}, False)]
)
def test_what_changes_tokens_tokenises_anew(
    reader: TableFiles, change: dict[str, object], again: bool
) -> None:
    skip(reader, WORDS)
    found = skip(reader, replace(WORDS, **change))
    assert found.from_cache is not again
    assert found.stored.pad == change.get("pad", PAD)


def test_other_texts_are_tokenised_anew(reader: TableFiles) -> None:
    skip(reader, WORDS)
    Path(reader.source).write_text("text,label\na,x\nbb,y\n")
    assert skip(reader, WORDS).stored.ids.tolist() == [1, 2]


def test_a_damaged_file_is_written_again(reader: TableFiles, cache_folder: Path) -> None:
    skip(reader, WORDS)
    [path] = cache_folder.glob("tokens/*/ids.npy")
    path.write_bytes(path.read_bytes()[:-4])
    assert not skip(reader, WORDS).from_cache
    assert skip(reader, WORDS).from_cache


def test_bad_rows_stop_a_run_by_line_unless_they_are_skipped(reader: TableFiles) -> None:
    with pytest.raises(UserError) as caught:
        load_arrays(reader, WORDS)
    assert caught.value.problems == (
        "bad row reviews.csv:5: no text; dataset.on_error=skip leaves it out",
    )


def test_many_texts_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tltool.data.cache.CHUNK", 4)
    lengths = np.random.default_rng(0).integers(1, 4, 50)
    rows = [f"{'a ' * n},{'xy'[i % 2]}" for i, n in enumerate(lengths)]
    (tmp_path / "many.csv").write_text("\n".join(["text,label", *rows]))
    tokens = skip(TableFiles(str(tmp_path / "many.csv")), WORDS).inputs()
    everything = tokens[torch.arange(50)]
    assert everything["attention_mask"].sum(dim=1).tolist() == lengths.tolist()


def test_texts_are_not_augmented() -> None:
    prepare = WORDS.prepare(DataOptions(), channels_last=True)
    x = {"input_ids": torch.ones(1, 2, dtype=torch.int64)}
    assert prepare(x, training=True) is x and prepare.augment == "none"
    with pytest.raises(UserError, match="dataset.augment=flip: changes images") as caught:
        WORDS.prepare(DataOptions(augment="flip"), channels_last=False)
    assert len(caught.value.problems) == 1


def test_what_is_recorded_of_a_tokenisation_is_plain() -> None:
    assert WORDS.describe() == {"tokenizer": "words", "sha256": "1", "max_length": 3, "pad": PAD}
    assert Tokenised(WORDS).key() == ["1", 3]


def test_batches_of_two_domains_are_joined_at_the_longer_ones_length() -> None:
    tokens = Tokens(np.array([5, 6, 7], np.int32), np.array([0, 1, 3]), PAD)
    joined = concat(tokens[torch.tensor([0])], tokens[torch.tensor([1])])
    assert joined["input_ids"].tolist() == [[5, 0], [6, 7]]
    assert joined["attention_mask"].tolist() == [[1, 0], [1, 1]]
    joined = concat(tokens[torch.tensor([1])], tokens[torch.tensor([0])])
    assert joined["attention_mask"].tolist() == [[1, 1], [1, 0]]
