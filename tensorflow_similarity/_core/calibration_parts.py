"""A calibration as plain facts and arrays, for files, and back."""

from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core import files
from tensorflow_similarity._core.remade import why_not_remade
from tensorflow_similarity.types import CalibrationResults, ProbabilityCurve

FORMAT = 1
_ARRAYS = "calibration.npz"


def write(folder: files.NewFolder, results: CalibrationResults) -> None:
    """Puts a calibration into a folder that is being written."""
    folder.facts["calibration"], arrays = to_parts(results)
    files.write_arrays(folder.path / _ARRAYS, arrays, compressed=list(arrays))


def read(path: Path, facts: dict[str, Any]) -> CalibrationResults | None:
    """The calibration in a folder with these facts; None if there is none.

    Raises:
        ValueError: if a newer version wrote it.
    """
    found = facts.get("calibration")
    if found is None:
        return None
    return from_parts(found, files.read_arrays(path / _ARRAYS))


def to_parts(
    results: CalibrationResults,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is JSON, and the arrays by name.

    Raises:
        ValueError: if a matcher or metric of one's own could not be made again.
    """
    for role, thing in results.objects.items():
        why = why_not_remade(thing)
        if why:
            raise ValueError(
                f"The calibration cannot be saved, since its {role} could not be made "
                f"again. {why} Or drop the calibration before you save: "
                "`model.indexer.calibration = None`."
            )
    arrays = {f"threshold/{k}": v for k, v in results.thresholds.items()}
    facts: dict[str, Any] = {
        "format": FORMAT,
        "cutpoints": results.cutpoints,
        "achieved": results.achieved,
        # JSON has only strings as keys, and labels are integers too.
        "class_cutpoints": {
            name: [[label, entry] for label, entry in entries.items()]
            for name, entries in results.class_cutpoints.items()
        },
        "settings": results.settings,
        "curve": None,
    }
    if results.curve is not None:
        facts["curve"] = results.curve.method
        parameters = results.curve.parameters.items()
        arrays |= {f"curve/{k}": np.asarray(v) for k, v in parameters}
    return facts, arrays


def from_parts(
    facts: dict[str, Any], arrays: dict[str, np.ndarray]
) -> CalibrationResults:
    """The calibration that `to_parts` took apart.

    Raises:
        ValueError: if a newer version wrote it.
    """
    if facts["format"] > FORMAT:
        raise ValueError(
            f"The calibration has format {facts['format']}, newer than {FORMAT}, which "
            "is the newest known here. Update tensorflow_similarity."
        )
    parts: dict[str, dict[str, np.ndarray]] = {"threshold": {}, "curve": {}}
    for name, array in arrays.items():
        kind, _, key = name.partition("/")
        parts[kind][key] = array
    method = facts["curve"]
    return CalibrationResults(
        facts["cutpoints"],
        parts["threshold"],
        facts["achieved"],
        {
            name: {label: entry for label, entry in entries}
            for name, entries in facts["class_cutpoints"].items()
        },
        None if method is None else ProbabilityCurve(method, parts["curve"]),
        facts["settings"],
    )
