"""When a number of the health report is a fault, and what to say then."""

from collections.abc import Iterator

# `TrainingHealth` warns at the same two: cosines are then about 0.99; a line has 1.
MIN_RELATIVE_STD = 0.1
MIN_EFFECTIVE_RANK = 2.0
# A tenth of the dimensions carries all: the others cost memory and time for nothing.
MIN_RANK_SHARE = 0.1
# The mean of exp(-2 |x - y|^2) that all pairs at a cosine of 0.75 have.
MAX_UNIFORMITY = -1.0
# Repeats up to this share are usual where data are crawled.
MAX_REPEATS = 0.01
# That of an exponential distribution: most items are found hardly ever, few very often.
MAX_SKEWNESS = 2.0
# One item in five is then out of reach, whatever the query.
MAX_ANTI_HUBS = 0.2
# With so many doubted labels the embeddings are at fault rather than the labels.
MANY_SUSPECTS = 0.2
# The largest class then decides every mean over queries.
MAX_IMBALANCE = 100


def faults_of(numbers: dict[str, float]) -> Iterator[tuple[str, str]]:
    """Names of the numbers that are faults, and the words."""
    for name in ("n_not_finite", "n_zero", "n_flat_dimensions", "n_singletons"):
        if numbers.get(name):
            yield name, _COUNTED[name].format(int(numbers[name]))
    repeats = numbers["share_of_repeats"]
    if repeats > MAX_REPEATS:
        yield (
            "share_of_repeats",
            f"{repeats:.1%} of the rows equal an earlier row (usual: up to "
            f"{MAX_REPEATS:.0%}): repeated data, or a collapse.",
        )
    spread = numbers["relative_std"]
    if spread < MIN_RELATIVE_STD:
        yield (
            "relative_std",
            f"Collapse: the spread of directions is {spread:.2g} of an even one "
            f"(healthy: above {MIN_RELATIVE_STD:g}), so nearly all cosines are above "
            "0.99. Look at the loss, its margin and the learning rate.",
        )
    rank, dim = numbers["effective_rank"], numbers["dim"]
    if rank < MIN_EFFECTIVE_RANK < dim or rank < MIN_RANK_SHARE * dim:
        yield (
            "effective_rank",
            f"The embeddings fill {rank:.3g} of {dim:,} dimensions (healthy: at least "
            f"{MIN_EFFECTIVE_RANK:g}, and a tenth): a dimensional collapse, or more "
            "dimensions than the data need.",
        )
    if numbers.get("uniformity", -4.0) > MAX_UNIFORMITY:
        yield (
            "uniformity",
            f"Uniformity is {numbers['uniformity']:.3g} (healthy: below "
            f"{MAX_UNIFORMITY:g}; -4 on the whole sphere): most directions are in one "
            "narrow cone.",
        )
    yield from _hub_faults(numbers)
    yield from _label_faults(numbers)


def _hub_faults(numbers: dict[str, float]) -> Iterator[tuple[str, str]]:
    if numbers["hubness_skewness"] > MAX_SKEWNESS:
        yield (
            "hubness_skewness",
            f"Some items are neighbours of very many: skewness "
            f"{numbers['hubness_skewness']:.3g} (healthy: up to {MAX_SKEWNESS:g}). "
            "They crowd out right answers.",
        )
    if numbers["share_of_anti_hubs"] > MAX_ANTI_HUBS:
        yield (
            "share_of_anti_hubs",
            f"{numbers['share_of_anti_hubs']:.0%} of the items are among nobody's "
            f"neighbours (healthy: up to {MAX_ANTI_HUBS:.0%}): lookups hardly find "
            "them.",
        )


def _label_faults(numbers: dict[str, float]) -> Iterator[tuple[str, str]]:
    if "n_classes" not in numbers:
        return
    smallest, largest = numbers["smallest_class"], numbers["largest_class"]
    if largest > MAX_IMBALANCE * smallest:
        yield (
            "largest_class",
            f"Classes have from {smallest:,} to {largest:,} items: means over items "
            "say little of the small ones. Look at means over classes too.",
        )
    if numbers["n_near_duplicates"]:
        yield (
            "n_near_duplicates",
            f"{numbers['n_near_duplicates']:,} items have one of another label "
            f"within {numbers['near_duplicate_distance']:.3g}: one of the labels is "
            "wrong, or the classes overlap.",
        )
    suspects = numbers["n_suspect_labels"]
    if suspects:
        share = suspects / (numbers["n_items"] - numbers["n_unlabelled"])
        cause = (
            "so many that the embeddings rather than the labels are at fault."
            if share > MANY_SUSPECTS
            else "look at them, the surest first."
        )
        yield (
            "n_suspect_labels",
            f"{suspects:,} labels ({share:.1%}) are not those of the neighbours: "
            + cause,
        )


_COUNTED = {
    "n_not_finite": "{:,} rows hold NaN, infinity or numbers beyond 1e16. They are "
    "left out of all below.",
    "n_zero": "{:,} rows are zero and have no direction: cosines with them mean "
    "nothing.",
    "n_flat_dimensions": "{:,} dimensions vary less than a thousandth of the median "
    "one: dead units, or a constant input.",
    "n_singletons": "{:,} classes have one item: no query of theirs can succeed.",
}
