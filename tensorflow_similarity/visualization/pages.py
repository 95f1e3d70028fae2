"""Pages as files and as parts of notebooks."""

import html
import os
from pathlib import Path

from tensorflow_similarity._core.files import new_beside

# For functions that take examples, labels and a path: a third array is pictures.
PICTURES_HINT = " Pictures go to `images=`."


def checked_path(path: str | os.PathLike[str], hint: str = "") -> Path:
    """The path of a page that can be written.

    Args:
        path: where to write.
        hint: added where it is no path at all: what may have been meant.

    Raises:
        TypeError: for something that is no path.
        FileNotFoundError: if there is no such folder.
        IsADirectoryError: if the path is a folder itself.
        PermissionError: if nothing may be written there.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            "`path` must be the name of a file, as 'report.html'. Received: "
            f"{type(path).__name__}.{hint}"
        )
    # Where a link points to, so that the link stays.
    file = Path(path).resolve()
    if not file.parent.is_dir():
        raise FileNotFoundError(
            f"`path` must be in a folder that exists. Received: {str(path)!r}."
        )
    if file.is_dir():
        raise IsADirectoryError(
            "`path` must be the name of a file, as 'report.html'. Received a folder: "
            f"{str(path)!r}."
        )
    if not os.access(file.parent, os.W_OK):
        raise PermissionError(
            f"`path` must be in a folder that may be written to. Received: "
            f"{str(path)!r}."
        )
    return file


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Writes a page whole or not at all; a file there is replaced.

    Raises:
        TypeError, FileNotFoundError, IsADirectoryError, PermissionError: as
            `checked_path`.
    """
    file = checked_path(path)
    with new_beside(file) as new:
        new.write_text(page, "utf-8")
        os.replace(new, file)


def frame(page: str, height: int, title: str) -> str:
    """A page inside another one; neither's styles and programs reach the other.

    The page is in the attribute, whole: no file beside it, no server.
    """
    return (
        f'<iframe srcdoc="{html.escape(page)}" width="100%" height="{height}" '
        f'style="border: 0" title="{html.escape(title)}"></iframe>'
    )
