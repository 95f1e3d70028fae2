"""Saving a model with its index: both forms written beside and renamed."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tensorflow_similarity._core import files
from tensorflow_similarity.indexer import Indexer

logger = logging.getLogger(__name__)

# Keras writes assets twice, so above this an index goes into a folder of its own.
LARGE_INDEX = 1_000_000_000
_FOLDER = "similarity_index"
_ELSEWHERE = "similarity_index.json"
# What a new model's folder replaces: what Keras writes, and our index in its assets.
_OWN = {
    "config.json",
    "metadata.json",
    "model.weights.h5",
    "assets/layers",
    f"assets/{_FOLDER}",
    f"assets/{_ELSEWHERE}",
}


@dataclass
class AssetsPlan:
    """What the next call of Keras' `save_assets` hook writes.

    Args:
        include: whether the index goes in.
        compression: whether its labels and user data are deflated.
        elsewhere: where a large index has been written instead.
    """

    include: bool = True
    compression: bool = True
    elsewhere: Path | None = None


def save_model(
    model: keras.Model,
    index: Indexer | None,
    plan: AssetsPlan,
    filepath: str | Path,
    overwrite: bool = True,
    zipped: bool | None = None,
) -> None:
    """Writes a `.keras` file or a folder, whole or not at all.

    Args:
        index: the model's index, or None.
        plan: the model's own plan, set here for the time of the call.
        filepath: a name in `.keras` for one file, without suffix for a folder.
        zipped: says the form in place of the name. Defaults to None.

    Raises:
        ValueError: for a name of another suffix.
        FileExistsError: with `overwrite=False`, or if a folder is not one of ours.
    """
    path = Path(filepath)
    zipped = _form(path, zipped)
    path = path.resolve()  # where a link points to, so that the link stays
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{str(path)!r} exists and `overwrite=False` was given. Give another "
            "path, or `overwrite=True`."
        )
    if not zipped:
        _refuse_foreign(path)
    elif path.is_dir():
        raise FileExistsError(f"{str(path)!r} is a folder. Give the name of a file.")
    # An index that `save_index` put there is older than the one saved now.
    with_index = plan.include and index is not None
    old_index = with_index and files.is_folder_of_ours(path / "index")
    own = _OWN | ({"index"} if old_index else set())
    with files.new_beside(path) as new, _restored(plan):
        if plan.include and index is not None and index.nbytes() > LARGE_INDEX:
            plan.include = False
            plan.elsewhere = path.absolute().with_name(f"{path.name}-index")
            index.save(plan.elsewhere, compression=plan.compression)
            logger.warning(
                "The index has more than %d MB and was saved beside the model, in %s. "
                "Keep them together.",
                LARGE_INDEX // 10**6,
                plan.elsewhere,
            )
        keras.saving.save_model(model, new, zipped=zipped)
        if zipped:
            os.replace(new, path)
        else:
            files.replace_folder(new, path, own)
    if index is not None and not plan.include:
        logger.info("The index was not saved with the model.")


def write_assets(index: Indexer | None, plan: AssetsPlan, folder: str | Path) -> None:
    """Keras' hook `save_assets`: puts the index into the folder of the assets."""
    if plan.elsewhere is not None:
        where = {"name": plan.elsewhere.name, "path": str(plan.elsewhere)}
        (Path(folder) / _ELSEWHERE).write_text(json.dumps(where), encoding="utf-8")
    if plan.include and index is not None:
        index.save(Path(folder) / _FOLDER, compression=plan.compression)


def read_assets(folder: str | Path) -> Indexer | None:
    """Keras' hook `load_assets`: the index that `write_assets` put there, or None."""
    folder = Path(folder)
    if (folder / _FOLDER).is_dir():
        return Indexer.load(folder / _FOLDER)
    if (folder / _ELSEWHERE).is_file():
        where = json.loads((folder / _ELSEWHERE).read_text(encoding="utf-8"))
        if files.is_folder_of_ours(where["path"]):
            return Indexer.load(where["path"])
        logger.warning(
            "The index of this model was saved beside it, as %r, and is not at %s. "
            "Load it with `model.load_index(path)`.",
            where["name"],
            where["path"],
        )
    return None


def find_index(filepath: str | Path) -> Path:
    """The folder of the index that `save_index` or `save` put under this path.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the path is a file.
    """
    path = Path(filepath)
    if path.is_file():
        raise ValueError(
            f"{str(path)!r} is a file, expected a folder with an index. The index in a "
            "'.keras' file comes with its model: `keras.models.load_model(path)`."
        )
    # A damaged manifest is still a sign of an index; reading it says what is wrong.
    signs = (files.MANIFEST, "store", "index_metadata.json")
    for place in (path / "index", path / "assets" / _FOLDER, path / _FOLDER, path):
        if any((place / sign).exists() for sign in signs):
            return place
    raise FileNotFoundError(
        f"There is no index in {str(path)!r}. Expected a folder written by "
        "`model.save_index(path)`, or by `model.save(path)` of a model with an index."
    )


def _form(path: Path, zipped: bool | None) -> bool:
    """Whether one `.keras` file is meant rather than a folder."""
    name = path.name.lower()
    if name.endswith((".h5", ".hdf5")):
        raise ValueError(
            f"A model with an index cannot be saved as HDF5. Received: {path.name!r}. "
            "Use a name in '.keras', or one without suffix for a folder; "
            "`model.save_weights('x.weights.h5')` writes weights alone."
        )
    if zipped is None:
        if path.suffix not in (".keras", ""):
            raise ValueError(
                "A model is saved under a name in '.keras' (one file) or without "
                f"suffix (a folder). Received: {path.name!r}. For a folder of that "
                "name give `zipped=False`."
            )
        zipped = path.suffix == ".keras"
    if zipped and path.suffix != ".keras":
        raise ValueError(
            "With `zipped=True` the name must end in '.keras'. Received: "
            f"{path.name!r}."
        )
    return zipped


def _refuse_foreign(path: Path) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir() or not (
        _is_of_keras(path) or files.is_folder_of_ours(path / "index")
    ):
        raise FileExistsError(
            f"{str(path)!r} holds something that is not a saved model. Give another "
            "path, or remove it."
        )


def _is_of_keras(path: Path) -> bool:
    """Whether Keras wrote a model into this folder; others write `config.json` too."""
    try:
        metadata = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(metadata, dict) and "keras_version" in metadata


@contextmanager
def _restored(plan: AssetsPlan) -> Iterator[None]:
    before = dict(vars(plan))
    try:
        yield
    finally:
        vars(plan).update(before)


def portable(config: Any) -> Any:
    """A serialized optimizer by its public name, and so for every backend.

    Keras 3.15 on torch names its own classes, which train nothing elsewhere.
    """
    if not isinstance(config, dict):
        return config
    config = {key: portable(value) for key, value in config.items()}
    if str(config.get("module")).startswith("keras.src.backend.torch.optimizers"):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config
