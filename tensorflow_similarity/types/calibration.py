"""What a calibration found: cutpoints, thresholds and probabilities."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class ProbabilityCurve:
    """From a distance to the probability that the label is right, as plain numbers.

    Args:
        method: "isotonic" or "platt".
        parameters: arrays. Isotonic: "distances", ascending, and "probabilities", of
            equal length, joined by straight lines and constant beyond. Platt: "slope"
            and "intercept" of the log odds, shape () each.
    """

    method: str
    parameters: dict[str, np.ndarray]

    def __call__(self, distances: Any) -> np.ndarray:
        """Probabilities from 0 to 1, float64, in the shape of the distances."""
        given = np.asarray(distances, np.float64)
        if np.isnan(given).any():
            raise ValueError("`distances` must not be NaN.")
        if self.method == "isotonic":
            at = self.parameters["distances"]
            found = np.interp(given, at, self.parameters["probabilities"])
        else:
            with np.errstate(over="ignore"):
                odds = np.clip(given, -1e300, 1e300) * self.parameters["slope"]
                found = 1 / (1 + np.exp(-(odds + self.parameters["intercept"])))
        # No neighbour at all: nothing is the same.
        return np.where(np.isposinf(given), 0.0, found)


@dataclass(frozen=True, eq=False)
class CalibrationResults:
    """Distances up to which a neighbour is taken for the same, and how they were found.

    Args:
        cutpoints: by name, "optimal" among them: dicts of Python floats with
            "distance", "value" (that of the metric it was chosen by), each metric by
            its name, and "name".
        thresholds: float64 arrays of equal length: "distance", every distinct one,
            ascending; each metric there by its name; "value", the calibration metric.
        achieved: by name, what is known of a cutpoint or of a target that none reached:
            "reached", "metric", "value", "n" (queries that the value is a share of),
            "low" and "high" (where the value on "n_new" other queries of the kind lies
            with "confidence"), "supported" and "note". Defaults to {}.
        class_cutpoints: by name, the cutpoints of single labels: dicts from label to
            {"distance", "n", "own"}; labels that are not there have that of
            `cutpoints`. Defaults to {}.
        curve: from distance to probability. Defaults to None.
        settings: what `match` goes on with: "k", "matcher", "metric",
            "distance_rounding", "distance", "items"; plain types. Defaults to {}.
        objects: the "matcher" and the "metric" themselves, as they were given. They are
            not saved: `settings` says how to make them again. Defaults to {}.
    """

    cutpoints: dict[str, dict[str, Any]]
    thresholds: dict[str, np.ndarray]
    achieved: dict[str, dict[str, Any]] = field(default_factory=dict)
    class_cutpoints: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)
    curve: ProbabilityCurve | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)

    def cutpoint(self, name: str) -> dict[str, Any]:
        """The cutpoint of this name.

        Raises:
            ValueError: if there is none; the message says why, or lists the known ones.
        """
        if name in self.cutpoints:
            return self.cutpoints[name]
        note = self.achieved.get(name, {}).get("note")
        raise ValueError(
            f"There is no cutpoint {name!r}. "
            + (f"{note} " if note else "")
            + f"The known ones are {sorted(self.cutpoints)}."
        )

    def probability(self, distances: Any) -> np.ndarray:
        """Probability that a label found at these distances is right.

        It is that of queries like those of the calibration: with the same share of
        unknown classes among them.

        Args:
            distances: of any shape, in the unit of the index; inf has probability 0.

        Returns:
            float64, in the same shape.

        Raises:
            RuntimeError: if the calibration was made without `probability`.
        """
        if self.curve is None:
            raise RuntimeError(
                "This calibration has no probabilities. Calibrate with "
                "`probability='isotonic'` or `probability='platt'`."
            )
        return self.curve(distances)
