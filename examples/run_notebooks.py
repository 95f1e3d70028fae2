"""Executes the notebooks of this folder, each from its top in a fresh kernel.

    python examples/run_notebooks.py                        # all: do they run?
    python examples/run_notebooks.py hello_world            # one
    python examples/run_notebooks.py hello_world --write    # and keep its outputs

A notebook runs in an empty folder and has `--limit` seconds in all, its kernel's start
among them. The variables that name proxies lead nowhere, so that what is fetched over
HTTP by a library that heeds them fails; other connections stay open. The exit code is
1 if a cell fails or the time is over. With `--write` the outputs go back into the
notebook, tidied: no paths or times of a machine, no progress bars, pages too large for
a repository replaced by a line that says so.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

HERE = Path(__file__).resolve().parent
LIMIT = 180
NOWHERE = "http://127.0.0.1:9"
LARGEST_HTML = 150_000
LARGEST_NOTEBOOK = 400_000
LARGE_HTML = (
    "<p><em>An interactive page of {size:.1f} MB stands here: "
    "run the notebook to see it.</em></p>"
)
KINDS_KEPT = ("text/html", "text/markdown", "image/png", "text/plain")
# What TensorFlow says before it can be told to be silent, and the bars of tqdm:
# each with all that tells it from what a notebook prints.
NOISE = re.compile(
    r"^(WARNING: All log messages before absl|[IWEF]0000 00:00:"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] "
    r"|.*TqdmWarning: |  from .autonotebook import tqdm"
    r"|.*\d+%\|[^|]*\| *\S+/\S+ \[\d+:\d\d)"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks; all if none is named")
    parser.add_argument(
        "--write", action="store_true", help="put tidied outputs into the notebooks"
    )
    parser.add_argument("--out", type=Path, help="folder for the executed notebooks")
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help="seconds for a notebook"
    )
    options = parser.parse_args()

    found = {path.stem: path for path in sorted(HERE.glob("*.ipynb"))}
    names = [Path(name).stem for name in options.names] or list(found)
    unknown = [name for name in names if name not in found]
    if unknown:
        parser.error(
            f"no such notebook: {', '.join(unknown)}; there are {', '.join(found)}"
        )

    started = time.perf_counter()
    failed = []
    for name in names:
        begun = time.perf_counter()
        notebook, problem = execute(found[name], options.limit)
        seconds = time.perf_counter() - begun
        print(f"{name:28} {seconds:6.1f} s  {problem or 'ok'}", flush=True)
        tidy(notebook)
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            save(notebook, options.out / f"{name}.ipynb")
        if problem is None and options.write:
            problem = save(notebook, found[name])
            print(problem or f"{'':28} written", flush=True)
        if problem is not None:
            failed.append(name)
    print(f"{'total':28} {time.perf_counter() - started:6.1f} s")
    if failed:
        sys.exit(f"FAILED: {', '.join(failed)}")


def execute(path, limit):
    """The executed notebook, and what went wrong: None if nothing did."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    end = time.monotonic() + limit
    begun = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            # nbclient takes 0 for "no limit".
            timeout_func=lambda cell: max(0.001, end - time.monotonic()),
            on_cell_execute=lambda cell, cell_index: begun.append(cell_index),
            record_timing=False,
            coalesce_streams=True,
        )
        try:
            client.execute(env=environment())
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return notebook, said(notebook, begun, error, limit)
        finally:
            hide(notebook, folder)
    if time.monotonic() > end:
        return notebook, f"over {limit:g} s {place(notebook, begun)}"
    return notebook, None


def environment():
    """The kernel's: this checkout, pictures under the cells, proxies to nowhere."""
    here = os.environ.get("PYTHONPATH")
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), NOWHERE)
    proxies["no_proxy"] = "localhost,127.0.0.1"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), here])),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **proxies,
        # Libraries differ in which case they read, and in which they read first.
        **{name.upper(): value for name, value in proxies.items()},
    }


def said(notebook, begun, error, limit):
    """Which cell failed, by number and first line, and how."""
    where = place(notebook, begun)
    if isinstance(error, CellTimeoutError):
        return f"over {limit:g} s {where}"
    if isinstance(error, DeadKernelError):
        return f"the kernel died {where}"
    return f"{where}: {error.ename}: {error.evalue}"


def place(notebook, begun):
    """The last cell that began, by number and first line."""
    if not begun:
        return "before its first cell"
    i = begun[-1]
    first = notebook.cells[i].source.strip().split("\n")[0]
    return f"in cell {i + 1} ({first})"


def tidy(notebook):
    """Leaves in an executed notebook what its readers need."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    hide(notebook, HERE.parent, sys.prefix, Path.home())
    taken = set()
    for cell in notebook.cells:
        cell.id = identifier(cell.source, taken)
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
        )
        if cell.cell_type == "code":
            cell.outputs = list(filter(None, map(tidied, cell.outputs)))


def identifier(source, taken):
    """An id that stays while the cell stays, wherever it stands."""
    text = source
    while (name := hashlib.sha256(text.encode()).hexdigest()[:8]) in taken:
        text += "."
    taken.add(name)
    return name


def tidied(output):
    """One output without noise; None if nothing is left of it."""
    if output.output_type == "stream":
        output.text = readable(output.text)
        return output if output.text.strip() else None
    if output.output_type in ("display_data", "execute_result"):
        data = output.data
        if len(data.get("text/html", "")) > LARGEST_HTML:
            size = len(data["text/html"]) / 2**20
            data["text/html"] = LARGE_HTML.format(size=size)
        if "image/png" in data:
            data["image/png"] = smaller(data["image/png"])
        if "text/plain" in data:
            data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", data["text/plain"])
        output.data = nbformat.from_dict(
            {kind: data[kind] for kind in KINDS_KEPT if kind in data}
        )
        output.metadata = nbformat.from_dict({})
        return output if output.data else None
    return output


def readable(text):
    """A stream without colours, early frames of progress bars, and log noise."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\x08", "", text)
    lines = [line.rstrip("\r").split("\r")[-1] for line in text.split("\n")]
    return "\n".join(line for line in lines if not NOISE.match(line))


def smaller(png):
    """A PNG of 256 colours, if that is smaller."""
    from PIL import Image

    data = base64.b64decode(png)
    file = io.BytesIO()
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.quantize(256, method=Image.Quantize.MEDIANCUT).save(
        file, "PNG", optimize=True
    )
    fewer = min(data, file.getvalue(), key=len)
    return base64.b64encode(fewer).decode("ascii")


def hide(notebook, *folders):
    """Takes these folders out of every output, so that paths begin inside them."""
    # A root is in every path, and in every fraction and address.
    folders = [folder for folder in map(Path, folders) if folder != folder.parent]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts = output if output.output_type == "stream" else output.get("data", {})
            for kind, text in list(texts.items()):
                if not isinstance(text, str) or kind == "image/png":
                    continue
                for folder in folders:
                    text = without(folder, text)
                texts[kind] = text


def without(folder, text):
    """The text with paths that begin with this folder beginning inside it."""
    start = r"(?<![\w.])" + re.escape(str(folder))
    text = re.sub(start + re.escape(os.sep), "", text)
    return re.sub(start + r"(?![\w-]|\.\w)", ".", text)


def save(notebook, path):
    """Writes the notebook; what is wrong with its size, if anything is."""
    nbformat.validate(notebook)
    text = nbformat.writes(notebook) + "\n"
    path.write_text(text, "utf-8")
    if len(text) > LARGEST_NOTEBOOK:
        return f"{path.name} has {len(text):,} bytes, more than {LARGEST_NOTEBOOK:,}"
    return None


if __name__ == "__main__":
    main()
