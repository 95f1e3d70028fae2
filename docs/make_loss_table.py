"""Writes the tables of `docs/choose_a_loss.md` from the package: run it from anywhere.

The tables of losses are made from `tensorflow_similarity.losses.facts`, that of presets
from `tensorflow_similarity.losses.presets()`. A test fails when the page is old.
"""

from pathlib import Path

from tensorflow_similarity import losses
from tensorflow_similarity.losses.facts import FACTS, table

PAGE = Path(__file__).with_name("choose_a_loss.md")


def preset_table() -> str:
    """Every preset with its arguments; sources and notes are listed once, below."""
    sources: dict[str, int] = {}
    notes: dict[str, str] = {}
    lines = [
        "| loss | preset | arguments | source | note |",
        "| --- | --- | --- | --- | --- |",
    ]
    for preset in losses.presets():
        arguments = ", ".join(
            f"{name}={round(value, 4) if isinstance(value, float) else value!r}"
            for name, value in preset.arguments.items()
        )
        source = sources.setdefault(preset.source, len(sources) + 1)
        note = preset.note and notes.setdefault(preset.note, chr(97 + len(notes)))
        lines.append(
            f'| `{preset.loss}` | `"{preset.name}"` | `{arguments}` | {source} | '
            f"{note} |"
        )
    lines += ["", "Sources:", ""]
    lines += [f"{number}. {source}." for source, number in sources.items()]
    lines += ["", "Notes:", ""]
    lines += [f"- {letter}: {note}" for note, letter in notes.items()]
    return "\n".join(lines)


def made(text: str) -> str:
    """The page with its tables made anew between their markers."""
    public = [name for name in FACTS if name in losses.__all__]
    for name, body in (("losses", table(public)), ("presets", preset_table())):
        start, end = f"<!-- {name}: made -->\n", f"\n<!-- {name}: end -->"
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}\n{body}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text("utf-8")), "utf-8")
