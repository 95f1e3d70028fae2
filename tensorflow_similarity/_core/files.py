"""Folders with a manifest: written beside and renamed, checked before they are read.

`index.json` names the format, what the folder is, size and SHA-256 of every file in it
(of files whose reader checks them itself, the size), and carries a checksum of itself.
No file here ever holds a pickle.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from tensorflow_similarity._version import __version__

FORMAT = 2
MANIFEST = "index.json"
# Many programs write an `index.json`; only ours says this in it.
_SIGNATURE = '"written_by": "tensorflow_similarity '


#: What NumPy and zipfile raise for files that are damaged, or something else.
UNREADABLE = (
    *(ValueError, TypeError, AttributeError, KeyError, OSError, EOFError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


@dataclass
class NewFolder:
    """A folder while it is written: put files under `path`, facts into `facts`.

    Args:
        path: the new folder, beside the one that it will replace.
        facts: what the manifest says beyond the files.
        replaced: the folder that stands there now, None if none does.
        known: what its manifest lists, by name.
        kept: what was taken over from it, by name.
        self_checked: names of files whose content their reader checks itself.
    """

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)
    replaced: Path | None = None
    known: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    self_checked: set[str] = field(default_factory=set)

    def keep(self, name: str) -> bool:
        """Takes the file of this name over from the folder that is replaced.

        For files that never change under their name: nothing is written then.

        Returns:
            Whether it was there; if not, it is the caller's to write.
        """
        entry = self.known.get(name)
        if entry is None or self.replaced is None:
            return False
        source, target = self.replaced / name, self.path / name
        if not source.is_file() or source.stat().st_size != entry["bytes"]:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)
        self.kept[name] = entry
        return True


@contextlib.contextmanager
def written_folder(
    path: str | Path, kind: str, overwrite: bool = True
) -> Iterator[NewFolder]:
    """Writes a folder whole or not at all.

    Args:
        path: the folder; its parents are made.
        kind: what it is, "index" for example; asked for again when it is read.
        overwrite: whether a folder of this kind may be replaced.

    Raises:
        FileExistsError: if the path holds something that we did not write, or with
            `overwrite=False` anything at all.
    """
    # Where a link points to, so that the link stays.
    path = _put_back(Path(path).resolve())
    _refuse_foreign(path, overwrite)
    with new_beside(path) as new:
        new.mkdir()
        folder = NewFolder(new, **_replaced(path))
        yield folder
        _write_manifest(folder, kind)
        replace_folder(new, path, _own_files(path))


@contextlib.contextmanager
def new_beside(path: Path) -> Iterator[Path]:
    """A free name beside `path`; whatever still stands there afterwards is removed."""
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    new = _free_name(path, "new")
    try:
        yield new
    finally:
        if new.is_dir():
            shutil.rmtree(new)
        else:
            new.unlink(missing_ok=True)


def replace_folder(new: Path, path: Path, own: Collection[str]) -> None:
    """Puts folder `new` in place of `path`, keeping what in `path` is not our own.

    Args:
        own: files and folders in `path`, relative to it, that the new folder
            replaces; everything else in it moves over.
    """
    if not path.exists():
        os.replace(new, path)
        return
    old = _free_name(path, "old")
    os.replace(path, old)
    try:
        os.replace(new, path)
    except BaseException:
        os.replace(old, path)
        raise
    parents = {str(parent) for name in own for parent in PurePath(name).parents}
    _move_foreign(old, path, PurePath(), own, parents)
    # Only now that all that was not ours has moved: an error before leaves it.
    shutil.rmtree(old)


def _put_back(path: Path) -> Path:
    """The path; what a program that was killed had moved aside is put there again."""
    if not path.exists() and path.absolute().parent.is_dir():
        aside = sorted(path.absolute().parent.glob(f".{path.stem}.*.old{path.suffix}"))
        if len(aside) == 1 and is_folder_of_ours(aside[0]):
            os.replace(aside[0], path)
    return path


def _free_name(path: Path, kind: str) -> Path:
    name = f".{path.stem}.{secrets.token_hex(4)}.{kind}{path.suffix}"
    return path.absolute().with_name(name)


def checked_folder(
    path: str | Path, kind: str, unread: Collection[str] = ()
) -> dict[str, Any]:
    """The facts of a folder in which every file is as it was written.

    Args:
        unread: endings of files of which only the length is compared: their reader
            checks the content itself.

    Raises:
        FileNotFoundError: if there is no such folder or manifest.
        ValueError: if it is damaged, newer than this library, or something else.
    """
    path = _put_back(Path(path))
    manifest = _read_manifest(path)
    if manifest.get("kind") != kind:
        raise ValueError(
            f"{str(path)!r} holds a {manifest.get('kind')!r}, expected a {kind!r}."
        )
    for name, expected in manifest["files"].items():
        file = path / name
        if not file.is_file():
            raise damaged(path, f"the file {name!r} is missing")
        if file.stat().st_size != expected["bytes"]:
            raise damaged(
                path,
                f"the file {name!r} has {file.stat().st_size} bytes, "
                f"{expected['bytes']} were written",
            )
        if "sha256" not in expected or name.endswith(tuple(unread)):
            continue
        if _checksum(file) != expected["sha256"]:
            raise damaged(path, f"the file {name!r} is not as it was written")
    facts: dict[str, Any] = manifest["facts"]
    return facts


def is_folder_of_ours(path: str | Path) -> bool:
    """Whether a manifest of ours stands in this folder, sound or not."""
    file = Path(path) / MANIFEST
    return file.is_file() and _SIGNATURE.encode() in file.read_bytes()


def write_arrays(
    path: Path, arrays: dict[str, np.ndarray], compressed: Collection[str] = ()
) -> None:
    """Writes an `.npz` file; only the arrays named in `compressed` are deflated."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            deflate = name in compressed
            info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file; nothing in it can run code.

    Raises:
        ValueError: if it is no such file, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise ValueError(
            f"{str(path)!r} is not a file of plain arrays, or holds pickled objects, "
            "which are never read because they can run code. Make the index again "
            f"from your data. ({error})"
        ) from error


def _write_manifest(folder: NewFolder, kind: str) -> None:
    written = sorted(file for file in folder.path.rglob("*") if file.is_file())
    # Hashing and waiting for the disk leave Python to others: two files at a time.
    with ThreadPoolExecutor(2) as pool:
        files = dict(pool.map(lambda file: _entry(folder, file), written))
    manifest = {
        "format": FORMAT,
        "kind": kind,
        "written_by": f"tensorflow_similarity {__version__}",
        "facts": folder.facts,
        "files": files,
    }
    manifest["checksum"] = _self_checksum(manifest)
    path = folder.path / MANIFEST
    path.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    _to_disk(path)


def _entry(folder: NewFolder, file: Path) -> tuple[str, dict[str, Any]]:
    """Name and facts of a file that is on the disk afterwards."""
    name = file.relative_to(folder.path).as_posix()
    if name in folder.kept:
        return name, folder.kept[name]
    facts: dict[str, Any] = {"bytes": file.stat().st_size}
    if name not in folder.self_checked:
        facts["sha256"] = _checksum(file)
    _to_disk(file)
    return name, facts


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.is_file():
        if (path / "index_metadata.json").is_file():
            raise ValueError(
                f"{str(path)!r} was written by TF Similarity 0.17 or 0.18. "
                "`Indexer.load` and `load_index` read it; save it to another folder."
            )
        raise FileNotFoundError(
            f"There is no {MANIFEST} in {str(path)!r}. Expected a folder written by "
            "this library."
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        number = manifest["format"]
        if not isinstance(number, int):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"{MANIFEST} is not as it was written") from error
    if number > FORMAT:
        raise ValueError(
            f"{str(path)!r} has format {number}, this version reads formats up to "
            f"{FORMAT}. Install the tensorflow_similarity that wrote it "
            f"({manifest.get('written_by')}) or a newer one."
        )
    if manifest.pop("checksum", None) != _self_checksum(manifest):
        raise damaged(path, f"{MANIFEST} is not as it was written")
    return dict(manifest)


def _refuse_foreign(path: Path, overwrite: bool) -> None:
    if not path.exists():
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    if not path.is_dir() or not is_folder_of_ours(path):
        raise FileExistsError(
            f"{str(path)!r} holds something that this library did not write. Give "
            "another path, or remove it."
        )
    if not overwrite:
        raise FileExistsError(
            f"{str(path)!r} exists and `overwrite=False` was given. Give another "
            "path, or `overwrite=True`."
        )


def _replaced(path: Path) -> dict[str, Any]:
    """The folder that stands at `path` and its files, if its manifest is sound."""
    try:
        return {"replaced": path, "known": _read_manifest(path)["files"]}
    except (ValueError, FileNotFoundError):
        return {}


def _own_files(path: Path) -> set[str]:
    """Files in a folder that its manifest accounts for, the manifest included."""
    try:
        return {MANIFEST, *_read_manifest(path)["files"]}
    except (ValueError, FileNotFoundError):
        return {MANIFEST}


def _move_foreign(
    old: Path, new: Path, at: PurePath, own: Collection[str], parents: Collection[str]
) -> None:
    """Moves what is under `old / at` and not our own to the same place under `new`."""
    for entry in list((old / at).iterdir()):
        name = at / entry.name
        target = new / name
        if name.as_posix() in own:
            continue
        is_folder = entry.is_dir() and not entry.is_symlink()
        if is_folder and (str(name) in parents or target.is_dir()):
            _move_foreign(old, new, name, own, parents)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(entry, target)


def damaged(path: Path, what: str) -> ValueError:
    """The error for a folder in which something is not as it was written."""
    return ValueError(
        f"The folder {str(path)!r} is damaged: {what}. Restore it from a copy, or "
        "make it again from your data."
    )


def _self_checksum(manifest: dict[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
