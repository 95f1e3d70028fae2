"""What an item looks like: a picture, a text, or HTML of the user's own."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

import numpy as np

from tensorflow_similarity._core.pictures import as_drawable, data_uri, is_picture

# Characters of a text that are shown.
_LONGEST_TEXT = 300
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Rendered:
    """One item as it is shown; exactly one of the three is not None.

    Args:
        picture: as `as_drawable` gives.
        text: shown as it is, so escaped in HTML.
        markup: HTML that the user's `render` made.
    """

    picture: np.ndarray | None = None
    text: str | None = None
    markup: str | None = None

    def html(self, size: int, name: str) -> str:
        """The item in a page; pictures `size` pixels high, `name` for who sees none."""
        if self.picture is not None:
            # A few pixels drawn large are to be seen as they are.
            crisp = "image-rendering:pixelated;" * (max(self.picture.shape[:2]) < size)
            return (
                f'<img src="{data_uri(self.picture, size)}" '
                f'alt="picture of {escape(name)}" '
                f'style="{crisp}height:{size}px">'
            )
        if self.markup is not None:
            return self.markup
        return f'<span class="text">{escape(self.text or "")}</span>'

    def words(self) -> str:
        """The item as text, for figures; HTML without its tags."""
        if self.markup is not None:
            return " ".join(unescape(_TAGS.sub(" ", self.markup)).split())
        return self.text or ""


def rendered(data: Any, render: Callable[[Any], Any] | None, name: str) -> Rendered:
    """An item's data as they are shown.

    Args:
        data: what the user gave with the item.
        render: the user's function, or None: pictures as pictures, all else as text.
        name: whose data they are, for messages.

    Raises:
        ValueError: for a picture with NaN in it.
        TypeError: if `render` gives neither text, nor a picture, nor HTML.
    """
    if render is not None and data is not None:
        made = render(data)
        if isinstance(made, str):
            return Rendered(text=_cut(made))
        for method in ("_repr_html_", "__html__"):
            markup = getattr(made, method, None)
            if callable(markup) and not is_picture(made):
                return Rendered(markup=str(markup()))
        if not is_picture(made):
            raise TypeError(
                "`render` must give a text, a picture, or HTML (an object with "
                f"`_repr_html_`, as `IPython.display.HTML`). For {name} it gave: "
                f"{type(made).__name__}."
            )
        data = made
    if is_picture(data):
        return Rendered(picture=as_drawable(data, f"The picture of {name}"))
    return Rendered(text=_cut(_text_of(data)))


def _text_of(data: Any) -> str:
    if data is None:
        return ""
    if isinstance(data, bytes):
        return data.decode("utf-8", "replace")
    if isinstance(data, dict):
        return "\n".join(f"{key}: {_text_of(value)}" for key, value in data.items())
    if hasattr(data, "shape") and getattr(data, "shape", ()) != ():
        return f"{type(data).__name__} of shape {tuple(data.shape)}"
    return str(data)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
