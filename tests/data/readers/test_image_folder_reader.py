import os
import re

import pytest

from tltool.data.readers.base import tree_digest
from tltool.data.readers.image_folder import ImageFolder
from tltool.errors import UserError


def test_class_folders(tmp_path, folder, rows):
    source = folder(tmp_path / "photos", "dog/1.jpg", "cat/b.PNG", "cat/A.JpG")
    reader = ImageFolder(source)
    reader.check()
    table = reader.read()
    assert table.features["label"].names == ["cat", "dog"]
    assert rows(reader) == [
        ("cat/A.JpG", 0, "source", ""),
        ("cat/b.PNG", 0, "source", ""),
        ("dog/1.jpg", 1, "source", ""),
    ]
    assert table[1]["image"].getpixel((0, 0)) == (1, 0, 0)


def test_split_folders_of_both_domains(tmp_path, folder, rows):
    names = ("train/a/1.png", "train/b/1.png", "Test/a/1.png", "valid/b/1.png")
    reader = ImageFolder(folder(tmp_path / "s", *names), folder(tmp_path / "t", "train/b/1.png"))
    reader.check()
    assert rows(reader) == [
        ("Test/a/1.png", 0, "source", "test"),
        ("train/a/1.png", 0, "source", "train"),
        ("train/b/1.png", 1, "source", "train"),
        ("valid/b/1.png", 1, "source", "val"),
        ("train/b/1.png", 1, "target", "train"),
    ]


def test_a_target_without_class_folders_is_unlabelled(tmp_path, folder, rows):
    source = folder(tmp_path / "s", "a/1.png", "b/1.png")
    flat = ImageFolder(source, folder(tmp_path / "t", "1.png", "2.png"))
    flat.check()
    assert rows(flat)[2:] == [("1.png", -1, "target", ""), ("2.png", -1, "target", "")]
    halves = ImageFolder(source, folder(tmp_path / "u", "train/1.png", "test/a/2.png"))
    halves.check()
    assert rows(halves)[2:] == [
        ("test/a/2.png", 0, "target", "test"),
        ("train/1.png", -1, "target", "train"),
    ]


def test_hidden_files_and_other_files_are_passed_over(tmp_path, folder, rows):
    source = folder(tmp_path, "a/1.png", "a/.2.png", "a/.thumbs/3.png", "b/deep/1.png", ".c/1.png")
    (tmp_path / "a/notes.txt").write_text("no image")
    (tmp_path / "readme.md").write_text("no image")
    reader = ImageFolder(source)
    reader.check()
    assert [row[0] for row in rows(reader)] == ["a/1.png", "b/deep/1.png"]


def test_a_class_may_be_called_train(tmp_path, folder):
    reader = ImageFolder(folder(tmp_path, "train/1.png", "plane/1.png"))
    reader.check()
    assert reader.read().features["label"].names == ["plane", "train"]


def test_the_home_folder_is_expanded(tmp_path, monkeypatch, folder):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder(tmp_path / "photos", "a/1.png", "b/1.png")
    assert len(ImageFolder("~/photos").read()) == 2


def test_all_problems_are_named_at_once(tmp_path, folder, problems):
    source = folder(tmp_path / "s", "a/1.png", "b/1.png")
    (tmp_path / "s/empty").mkdir()
    (tmp_path / "s/text").mkdir()
    (tmp_path / "s/text/1.txt").write_text("no image")
    target = folder(tmp_path / "t", "x/1.png", "y/1.png")
    found = problems(ImageFolder(source, target))
    assert found[:2] == (
        f"dataset.source={source}: class folder empty has no images",
        f"dataset.source={source}: class folder text has no images",
    )
    assert found[2:] == (
        f"dataset.target={target}: the target has classes x, y, and none of them is in the source, "
        "which has a, b: call the same classes the same",
    )
    with pytest.raises(UserError, match="classes x, y"):
        ImageFolder(source, target).read()


def test_a_target_may_lack_classes_and_have_others(tmp_path, folder, rows):
    source = folder(tmp_path / "s", "a/1.png", "b/1.png")
    reader = ImageFolder(source, folder(tmp_path / "t", "b/1.png", "x/1.png", "d/1.png"))
    reader.check()
    assert [(path, label) for path, label, domain, _ in rows(reader) if domain == "target"] == [
        ("b/1.png", 1),
        ("d/1.png", -1),
        ("x/1.png", -1),
    ]
    table = reader.read()
    assert table.features["label"].names == ["a", "b"]
    assert table.features["only_in_target"].names == ["d", "x"]
    assert table["only_in_target"][:] == [-1, -1, -1, 0, 1]
    assert "only_in_target" not in ImageFolder(source).read().features


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["1.png", "2.png"], "2 images without a class folder .first 1.png.; wanted"),
        (["train/1.png", "test/1.png"], "without a class folder"),
        (["a/1.png"], "one class folder only .a."),
        (["test/a/1.png", "test/b/1.png"], "no images in a train folder beside test"),
        (["train/a/1.png", "other/a/1.png"], "train beside other folders"),
        ([], "no images in it"),
    ],
)
def test_a_source_of_another_layout_is_refused(tmp_path, names, said, folder, problems):
    (line,) = problems(ImageFolder(folder(tmp_path, *names)))
    assert line.startswith(f"dataset.source={tmp_path}: ")
    assert re.search(said, line)


def test_missing_paths_are_named_each_in_a_line(tmp_path, picture, problems):
    found = problems(ImageFolder(f"{tmp_path}/no", str(picture(tmp_path / "file.png"))))
    assert found[0] == f"dataset.source={tmp_path}/no: no such folder"
    assert found[1].startswith(f"dataset.target={tmp_path}/file.png: a file")
    assert "dataset.source=FOLDER" in problems(ImageFolder(""))[0]


def test_fingerprint_follows_names_and_content_but_not_the_place(tmp_path, picture, folder):
    first = ImageFolder(folder(tmp_path / "1", "a/1.png", "b/1.png"))
    copy = ImageFolder(folder(tmp_path / "2", "a/1.png", "b/1.png"))
    before = first.fingerprint()
    assert before == copy.fingerprint()
    assert before != ImageFolder(str(tmp_path / "1"), str(tmp_path / "2")).fingerprint()
    picture(tmp_path / "2/a/1.png", value=200)
    assert copy.fingerprint() != before
    os.rename(tmp_path / "1/a/1.png", tmp_path / "1/a/2.png")
    assert first.fingerprint() != before


def test_the_second_fingerprint_reads_no_image(tmp_path, monkeypatch, folder):
    reader = ImageFolder(folder(tmp_path, "a/1.png", "b/1.png"))
    before = reader.fingerprint()

    def refuse(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("tltool.data.readers.base.file_digest", refuse)
    assert reader.fingerprint() == before
    os.utime(tmp_path / "a/1.png", (1, 1))
    with pytest.raises(AssertionError, match="was read"):
        reader.fingerprint()


def test_a_damaged_memo_or_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path, cache_folder, monkeypatch, picture
):
    files = {"a": picture(tmp_path / "a.png")}
    before = tree_digest(files)
    (memo,) = (cache_folder / "fingerprints").iterdir()
    memo.write_text("{")
    assert tree_digest(files) == before
    monkeypatch.setenv("TLTOOL_CACHE", str(files["a"]))  # a file: no folder can be made in it
    assert tree_digest(files) == before
