"""Hyper-parameters that others tuned or published, by name, with where they stand."""

import math
from dataclasses import dataclass
from typing import Any

_PACKAGE = __name__.split(".")[0]

_REALITY_CHECK = (
    'Musgrave et al., "A Metric Learning Reality Check", ECCV 2020, Bayesian '
    "optimisation with cross-validation on {data}, batches of {batch}"
)
_DATA = {
    "cub": _REALITY_CHECK.format(data="CUB-200-2011, birds", batch=32),
    "cars": _REALITY_CHECK.format(data="Cars196, cars", batch=32),
    "sop": _REALITY_CHECK.format(data="Stanford Online Products", batch=32),
    "cub_batch_256": _REALITY_CHECK.format(data="CUB-200-2011, birds", batch=256),
}
_UNIT_ROWS = "The margins are for embeddings of length 1, as of `MetricEmbedding`."


@dataclass(frozen=True)
class Preset:
    """One set of arguments of one loss.

    Args:
        loss: name of the class.
        name: what `from_preset` calls it.
        arguments: of the constructor, in this package's conventions.
        source: where they are published.
        note: what else they need to work as published. Empty for nothing.
    """

    loss: str
    name: str
    arguments: dict[str, Any]
    source: str
    note: str = ""


def presets(loss: Any = None) -> list[Preset]:
    """All presets, or those of one loss.

    Args:
        loss: class of a loss or its name. Defaults to None: of all losses.

    Returns:
        The presets, in the order of the losses' names.

    Example:

    >>> for preset in presets("CircleLoss"):
    ...     print(preset.name, preset.arguments)
    faces {'margin': 0.25, 'gamma': 256.0}
    reid {'margin': 0.25, 'gamma': 128.0}
    """
    name = _name_of(loss) if isinstance(loss, type) else loss
    return [preset for preset in _PRESETS if name in (None, preset.loss)]


def arguments_of(loss: type, name: str) -> dict[str, Any]:
    """The arguments of a loss's preset.

    Raises:
        ValueError: if the loss has none of this name.
    """
    known = {preset.name: preset for preset in presets(loss)}
    if name not in known:
        raise ValueError(
            f"`preset` must be one of {_name_of(loss)}: {list(known) or 'none'}. "
            f"Received: {name!r}. `losses.presets()` lists those of all losses."
        )
    return dict(known[name].arguments)


def _name_of(loss: type) -> str:
    """Of a loss, or for a user's own the one of this package that it derives from."""
    for base in loss.__mro__:
        if base.__module__.split(".")[0] == _PACKAGE:
            return base.__name__
    return loss.__name__


def _tuned(
    loss: str, arguments: dict[str, dict[str, Any]], note: str = ""
) -> list[Preset]:
    """From the study, by data set."""
    return [
        Preset(loss, data, values, _DATA[data], note)
        for data, values in arguments.items()
    ]


def _tuned_proxies(
    loss: str, arguments: dict[str, tuple[dict[str, Any], float]]
) -> list[Preset]:
    """The same with the learning rate of the proxies."""
    return [
        Preset(
            loss,
            data,
            values,
            _DATA[data],
            f"The proxies had learning rate {rate:g}: reach it by "
            "`learning_rate_multiplier`.",
        )
        for data, (values, rate) in arguments.items()
    ]


_PRESETS = [
    *_tuned(
        "ArcFaceLoss",
        {
            "cub": {"margin": math.radians(23.2), "scale": 100.0},
            "cars": {"margin": math.radians(20.5), "scale": 50.0},
            "sop": {"margin": math.radians(18.6), "scale": 220.0},
            "cub_batch_256": {"margin": math.radians(23.1), "scale": 79.0},
        },
    ),
    Preset(
        "CircleLoss",
        "faces",
        {"margin": 0.25, "gamma": 256.0},
        'Sun et al., "Circle Loss", CVPR 2020, face recognition',
    ),
    Preset(
        "CircleLoss",
        "reid",
        {"margin": 0.25, "gamma": 128.0},
        'Sun et al., "Circle Loss", CVPR 2020, person re-identification',
    ),
    *_tuned(
        "ContrastiveLoss",
        {
            "cub": {"distance": "euclidean", "pos_margin": 0.0, "neg_margin": 0.38},
            "cars": {"distance": "euclidean", "pos_margin": 0.0, "neg_margin": 0.54},
            "sop": {"distance": "euclidean", "pos_margin": 0.0, "neg_margin": 0.51},
            "cub_batch_256": {
                "distance": "euclidean",
                "pos_margin": 0.0,
                "neg_margin": 0.77,
            },
        },
        f"{_UNIT_ROWS} The study tuned the positive margin too, to between 0 and 0.29; "
        "this is 0, and its means leave out pairs without a loss, these do not.",
    ),
    Preset(
        "ContrastiveLoss",
        "roadmap",
        {"distance": "cosine", "pos_margin": 0.1, "neg_margin": 0.4},
        'Ramzi et al., "Robust and Decomposable Average Precision for Image '
        'Retrieval", NeurIPS 2021: similarities 0.9 and 0.6',
        "Half of `ROADMAPLoss`; there the means are those of each anchor.",
    ),
    *_tuned(
        "CosFaceLoss",
        {
            "cub": {"margin": 0.62, "scale": 100.0},
            "cars": {"margin": 0.43, "scale": 162.0},
            "sop": {"margin": 0.34, "scale": 100.0},
            "cub_batch_256": {"margin": 0.41, "scale": 88.0},
        },
    ),
    *_tuned(
        "FastAPLoss",
        {
            "cub": {"num_bins": 17},
            "cars": {"num_bins": 27},
            "sop": {"num_bins": 16},
            "cub_batch_256": {"num_bins": 86},
        },
    ),
    *_tuned(
        "MarginLoss",
        {
            "cub": {"distance": "euclidean", "alpha": 0.088, "beta": 0.78},
            "cars": {"distance": "euclidean", "alpha": 0.078, "beta": 1.32},
            "sop": {"distance": "euclidean", "alpha": 0.092, "beta": 1.11},
        },
        _UNIT_ROWS,
    ),
    Preset(
        "MarginLoss",
        "paper",
        {
            "distance": "euclidean",
            "alpha": 0.2,
            "beta": 1.2,
            "learn_beta": True,
            "miner": "distance_weighted",
        },
        'Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017',
        f"{_UNIT_ROWS} The boundary is learned, so it takes a `SimilarityModel`.",
    ),
    *_tuned(
        "MultiSimilarityLoss",
        {
            # Cosine distances are at most 2 apart: epsilon 4 leaves out no pair.
            "cub": {"alpha": 0.01, "beta": 51.0, "lmda": 0.56, "epsilon": 4.0},
            "cars": {"alpha": 14.0, "beta": 76.0, "lmda": 0.66, "epsilon": 4.0},
            "sop": {"alpha": 8.5, "beta": 57.0, "lmda": 0.41, "epsilon": 4.0},
        },
        "Without mining: `epsilon` is so large that every pair is kept.",
    ),
    *[
        Preset("MultiSimilarityLoss", f"{data}_mined", arguments, _DATA[data])
        for data, arguments in {
            "cub": {"alpha": 18.0, "beta": 76.0, "lmda": 0.77, "epsilon": 0.39},
            "cars": {"alpha": 7.5, "beta": 48.0, "lmda": 0.63, "epsilon": 0.72},
            "sop": {"alpha": 16.0, "beta": 157.0, "lmda": 0.72, "epsilon": 0.34},
        }.items()
    ],
    Preset(
        "MultiSimilarityLoss",
        "paper",
        {"alpha": 2.0, "beta": 50.0, "lmda": 1.0, "epsilon": 0.1},
        'Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep '
        'Metric Learning", CVPR 2019; the code of the authors has the defaults',
    ),
    *_tuned(
        "NTXentLoss",
        {
            "cub": {"temperature": 0.009},
            "cars": {"temperature": 0.022},
            "sop": {"temperature": 0.0002},
            "cub_batch_256": {"temperature": 0.042},
        },
    ),
    Preset(
        "NTXentLoss",
        "simclr_cifar10",
        {"temperature": 0.5},
        'Chen et al., "A Simple Framework for Contrastive Learning of Visual '
        'Representations", ICML 2020, CIFAR-10',
        "For two views of each picture; too soft for labelled classes.",
    ),
    Preset(
        "NTXentLoss",
        "simclr_imagenet",
        {"temperature": 0.1},
        'Chen et al., "A Simple Framework for Contrastive Learning of Visual '
        'Representations", ICML 2020, ImageNet',
        "For two views of each picture, in batches of 4096.",
    ),
    *[
        Preset(
            "NormalizedSoftmaxLoss",
            data,
            {"temperature": temperature},
            _DATA[data],
            "The learning rate of the class vectors was tuned too, to between 5e-4 and "
            "1e-2: reach it by `learning_rate_multiplier`.",
        )
        for data, temperature in {
            "cub": 0.109,
            "cars": 0.089,
            "sop": 0.063,
            "cub_batch_256": 0.071,
        }.items()
    ],
    Preset(
        "ProxyAnchorLoss",
        "paper",
        {"margin": 0.1, "alpha": 32.0, "learning_rate_multiplier": 100.0},
        'Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020',
        "With AdamW, and the network frozen in the first epoch or first five.",
    ),
    *_tuned_proxies(
        "ProxyNCALoss",
        {
            # The study's scale multiplies squared distances; a temperature divides.
            "cub": ({"temperature": 1 / 14.0}, 6e-3),
            "cars": ({"temperature": 1 / 8.0}, 4e-3),
            "sop": ({"temperature": 1 / 10.7}, 5e-4),
            "cub_batch_256": ({"temperature": 1 / 10.0}, 0.2),
        },
    ),
    *_tuned(
        "SoftTripleLoss",
        {
            # The study gives 1 / gamma, as the code of the authors does.
            "cub": {"scale": 78.0, "gamma": 1 / 59.0, "margin": 0.43, "tau": 0.38},
            "cars": {"scale": 18.0, "gamma": 1 / 19.0, "margin": 0.36, "tau": 0.07},
        },
    ),
    Preset(
        "SoftTripleLoss",
        "sop",
        {"scale": 100.0, "gamma": 1 / 48.0, "margin": 0.31, "tau": 0.0},
        _DATA["sop"],
        "No weight of the regulariser is known: it is left out.",
    ),
    *_tuned(
        "TripletLoss",
        {
            data: {
                "distance": "euclidean",
                "positive_mining_strategy": "all",
                "negative_mining_strategy": "all",
                "margin": margin,
            }
            for data, margin in {
                "cub": 0.096,
                "cars": 0.119,
                "sop": 0.045,
                "cub_batch_256": 0.137,
            }.items()
        },
        f"{_UNIT_ROWS} The study's mean leaves out triplets without a loss.",
    ),
    Preset(
        "TripletLoss",
        "facenet",
        {
            "distance": "squared_euclidean",
            "positive_mining_strategy": "all",
            "negative_mining_strategy": "semi-hard",
            "margin": 0.2,
        },
        'Schroff et al., "FaceNet", CVPR 2015',
        f"{_UNIT_ROWS} The paper has batches of 1800 with 40 a face.",
    ),
    Preset(
        "TripletLoss",
        "batch_hard",
        {
            "distance": "euclidean",
            "positive_mining_strategy": "hard",
            "negative_mining_strategy": "hard",
            "margin": None,
        },
        'Hermans et al., "In Defense of the Triplet Loss for Person '
        'Re-Identification", 2017',
        "For embeddings that are not normalised.",
    ),
]
