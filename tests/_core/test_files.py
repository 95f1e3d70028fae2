"""Folders with a manifest: whole or not at all, checked before they are read."""

import json
import os
import zipfile

import numpy as np
import pytest

from tensorflow_similarity._core import files


def write(path, text="hello", kind="thing", overwrite=True):
    with files.written_folder(path, kind, overwrite) as folder:
        (folder.path / "deep").mkdir()
        (folder.path / "deep" / "a.txt").write_text(text)
        folder.facts.update(text=text)


def names(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*"))


def test_a_folder_and_its_facts_come_back(tmp_path):
    path = tmp_path / "x" / "y"
    write(path)
    assert files.checked_folder(path, "thing") == {"text": "hello"}
    assert files.is_folder_of_ours(path) and files.is_folder_of_ours(str(path))
    assert names(path) == ["deep", "deep/a.txt", "index.json"]
    write(str(path), "again")
    assert files.checked_folder(str(path), "thing") == {"text": "again"}
    assert names(tmp_path) == ["x", *(f"x/{n}" for n in ("y", *names_under(path)))]


def names_under(path):
    return [f"y/{name}" for name in names(path)]


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("here", "./other", "here/../third"):
        write(path)
        assert files.checked_folder(path, "thing")
    assert sorted(os.listdir(tmp_path)) == ["here", "other", "third"]


def test_an_error_inside_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), files.written_folder(tmp_path / "a", "thing"):
        raise KeyError
    assert not list(tmp_path.iterdir())
    write(tmp_path / "a")
    with pytest.raises(KeyError), files.written_folder(tmp_path / "a", "thing") as new:
        (new.path / "b").write_text("half")
        raise KeyError
    assert files.checked_folder(tmp_path / "a", "thing") == {"text": "hello"}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_manifest_of_others_is_not_ours(tmp_path):
    assert not files.is_folder_of_ours(tmp_path)
    for text in ("{}", "", '{"format": 1, "written_by": "somebody"}', "\xff"):
        (tmp_path / "index.json").write_text(text, encoding="latin-1")
        assert not files.is_folder_of_ours(tmp_path)
        with pytest.raises(FileExistsError, match="did not write"):
            write(tmp_path)
        with pytest.raises(ValueError, match="damaged: index.json"):
            files.checked_folder(tmp_path, "thing")


def test_a_damaged_folder_of_ours_may_be_replaced(tmp_path):
    path = tmp_path / "a"
    write(path)
    (path / "mine.txt").write_text("mine")
    manifest = (path / "index.json").read_text()
    (path / "index.json").write_text(manifest.replace('"text"', '"test"'))
    with pytest.raises(ValueError, match="damaged"):
        files.checked_folder(path, "thing")
    write(path, "new")
    assert files.checked_folder(path, "thing") == {"text": "new"}
    assert (path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["[]", "null", "3", '"x"', "{", '{"format": "1"}', '{"format": null}', "{}"]
)
def test_odd_manifests_are_damage(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ValueError, match=r"damaged: index\.json is not as it was"):
        files.checked_folder(tmp_path, "thing")


def test_unlisted_files_do_no_harm(tmp_path):
    write(tmp_path / "a")
    (tmp_path / "a" / "more").write_text("x")
    assert files.checked_folder(tmp_path / "a", "thing")


def test_every_fact_is_covered_by_the_checksum(tmp_path):
    write(tmp_path / "a")
    file = tmp_path / "a" / "index.json"
    manifest = json.loads(file.read_text())
    for key, value in (("facts", {}), ("kind", "other"), ("files", {}), ("format", 0)):
        file.write_text(json.dumps({**manifest, key: value}))
        with pytest.raises(ValueError, match="damaged"):
            files.checked_folder(tmp_path / "a", "thing")
    file.write_text(json.dumps({**manifest, "checksum": None}))
    with pytest.raises(ValueError, match="damaged"):
        files.checked_folder(tmp_path / "a", "thing")
    file.write_text(json.dumps(manifest))  # only its layout has changed
    assert files.checked_folder(tmp_path / "a", "thing")


@pytest.mark.parametrize("compressed", [(), ("a",), ("a", "b", "c", "d")])
def test_arrays_come_back(tmp_path, compressed):
    arrays = {
        "a": np.arange(1000).reshape(10, 100),
        "b": np.array(["x", "yz"]),
        "c": np.zeros((0, 3), np.float16),
        "d": np.array(7),
    }
    files.write_arrays(tmp_path / "x.npz", arrays, compressed)
    read = files.read_arrays(tmp_path / "x.npz")
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        deflated = {
            info.filename[:-4] for info in archive.infolist() if info.compress_type
        }
    assert deflated == set(compressed)


def test_objects_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        files.write_arrays(tmp_path / "x.npz", {"a": np.array([object()])})


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY", b"\x80\x04N.", b"x" * 99]
)
def test_other_files_are_no_arrays(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match="not a file of plain arrays"):
        files.read_arrays(tmp_path / "x.npz")


def test_damaged_arrays_are_said_to_be(tmp_path):
    arrays = {"a": np.arange(3000), "b": np.ones(5)}
    files.write_arrays(tmp_path / "x.npz", arrays, compressed=["a"])
    raw = (tmp_path / "x.npz").read_bytes()
    for at in range(0, len(raw), 61):
        harmed = raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]
        (tmp_path / "y.npz").write_bytes(harmed)
        try:
            files.read_arrays(tmp_path / "y.npz")
        except ValueError as error:
            assert "not a file of plain arrays" in str(error)


def test_replacing_keeps_what_is_not_our_own(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for name in ("own/a", "own/b", "mixed/own", "mixed/theirs", "theirs/x", "top"):
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text("old")
    (new / "mixed").mkdir(parents=True)
    (new / "top").write_text("new")
    files.replace_folder(new, old, {"own", "mixed/own"})
    assert names(old) == ["mixed", "mixed/theirs", "theirs", "theirs/x", "top"]
    assert (old / "top").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_a_name_beside_is_removed_whatever_it_is(tmp_path):
    for make in (lambda p: p.mkdir(), lambda p: p.write_text("x"), lambda p: None):
        with files.new_beside(tmp_path / "a.keras") as new:
            assert new.suffix == ".keras" and new.parent == tmp_path
            make(new)
        assert not list(tmp_path.iterdir())


def test_files_that_never_change_are_taken_over(tmp_path):
    with files.written_folder(tmp_path / "a", "thing") as folder:
        assert not folder.keep("parts/1.bin")
        (folder.path / "parts").mkdir()
        (folder.path / "parts" / "1.bin").write_bytes(b"one")
    first = (tmp_path / "a" / "parts" / "1.bin").stat().st_ino
    with files.written_folder(tmp_path / "a", "thing") as folder:
        assert folder.keep("parts/1.bin")
        assert not folder.keep("parts/2.bin")
    assert files.checked_folder(tmp_path / "a", "thing") == {}
    assert (tmp_path / "a" / "parts" / "1.bin").stat().st_ino == first


def test_a_file_of_another_length_is_not_taken_over(tmp_path):
    write(tmp_path / "a")
    (tmp_path / "a" / "file").write_text("longer than it was, by far")
    with files.written_folder(tmp_path / "a", "thing") as folder:
        assert not folder.keep("file")


def test_where_links_cannot_be_made_the_file_is_copied(tmp_path, monkeypatch):
    write(tmp_path / "a")
    name = next(iter(files._read_manifest(tmp_path / "a")["files"]))

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    with files.written_folder(tmp_path / "a", "thing") as folder:
        assert folder.keep(name)
    assert files.checked_folder(tmp_path / "a", "thing") == {}
