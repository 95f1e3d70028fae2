"""Vectors in files that never change: written once, taken over by later savings.

`vectors.json` lists files of whole blocks and each block's token and checksum. A file
is named after the tokens of its blocks, so the same name always means the same rows.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core.files import NewFolder, damaged
from tensorflow_similarity._core.vectors import (
    Block,
    MappedBlock,
    Vectors,
    rows_per_block,
)

LIST = "vectors.json"
# Blocks in a file: 32 MB, so that little is written again when rows are added.
_BLOCKS_A_FILE = 16


def write_vectors(vectors: Vectors, folder: NewFolder, at: str) -> None:
    """Writes all rows, removed ones too, under `at` of a new folder."""
    height = rows_per_block(vectors.dim)
    (folder.path / at).mkdir(parents=True)
    written = []
    for first in range(0, len(vectors.parts), _BLOCKS_A_FILE):
        parts = [
            _without_dead(vectors, number)
            for number in range(first, min(first + _BLOCKS_A_FILE, len(vectors.parts)))
        ]
        heights = [
            min(height, vectors.size - (first + i) * height) for i in range(len(parts))
        ]
        tokens = [part.token for part in parts]
        named = f"{'-'.join(tokens)} {sum(heights)} {vectors.dim}"
        name = f"{hashlib.sha256(named.encode()).hexdigest()[:24]}.f32"
        # `MappedBlock` compares each block with its checksum before it is used.
        folder.self_checked.add(f"{at}/{name}")
        if not folder.keep(f"{at}/{name}"):
            with (folder.path / at / name).open("wb") as file:
                for part, n in zip(parts, heights, strict=True):
                    file.write(np.ascontiguousarray(part.rows[:n]).data)
        checksums = [part.checksum(n) for part, n in zip(parts, heights, strict=True)]
        blocks = list(zip(tokens, heights, checksums, strict=True))
        written.append({"name": name, "blocks": blocks})
    facts = {
        "dim": vectors.dim,
        "size": vectors.size,
        "rows_per_block": height,
        "files": written,
    }
    (folder.path / at / LIST).write_text(json.dumps(facts), encoding="utf-8")


def _without_dead(vectors: Vectors, number: int) -> Block | MappedBlock:
    """The block, or one with zeros where its rows were removed."""
    part = vectors.parts[number]
    if vectors.dead is None:
        return part
    height = rows_per_block(vectors.dim)
    dead = vectors.dead[number * height : (number + 1) * height]
    rows = part.rows[: len(dead)]
    if not rows[dead].any():
        return part
    token = hashlib.sha256(part.token.encode() + np.packbits(dead).tobytes())
    return Block.of(np.where(dead[:, None], 0, rows), token.hexdigest()[:16])


def read_vectors(path: Path, mapped: bool = False) -> Vectors:
    """The rows that `write_vectors` wrote under `path`.

    Args:
        mapped: whether they stay in the files, to be read and checked as they are
            used; the files must then stay, too.

    Raises:
        ValueError: if a file is missing or not as it was written.
    """
    facts = json.loads((path / LIST).read_text(encoding="utf-8"))
    dim = facts["dim"]
    vectors = Vectors(dim)
    as_they_are = facts["rows_per_block"] == rows_per_block(dim)
    parts: list[Block | MappedBlock] = []
    for listed in facts["files"]:
        file, offset = path / listed["name"], 0
        n_bytes = sum(n for _, n, _ in listed["blocks"]) * 4 * dim
        if not file.is_file() or file.stat().st_size != n_bytes:
            raise damaged(path, f"the file {listed['name']!r} is missing or cut")
        # An empty file cannot be mapped; it has no blocks either.
        whole = np.memmap(file, np.float32, "r") if n_bytes else np.empty(0)
        for token, n, checksum in listed["blocks"]:
            rows = whole[offset // 4 :][: n * dim].reshape(n, dim)
            block: Any = MappedBlock(file, offset, rows, checksum, token)
            offset += n * 4 * dim
            if not as_they_are:
                vectors = vectors.append(block.rows)
            else:
                parts.append(block if mapped else Block.of(block.rows, token))
    if not as_they_are:
        return vectors
    # Nobody has written behind the last row: an index that goes on copies that block.
    return Vectors(dim, facts["size"], parts=tuple(parts))
