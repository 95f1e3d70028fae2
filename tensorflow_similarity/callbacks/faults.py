"""What can be wrong with a training: what was seen, why as a rule, and the cure."""


def one_point(std: float, dim: int, good: float) -> str:
    """The embeddings have collapsed."""
    return (
        f"the embeddings are nearly one point. Their embedding_std is {std:.2g}; well "
        f"spread ones of width {dim} have about {good:.2g}. Usually the negatives are "
        "too hard too early, or the steps too large. Try a lower learning rate, easier "
        "mining such as negative_mining_strategy='semi-hard', a larger batch with more "
        "classes, or another loss such as MultiSimilarityLoss."
    )


def one_line(rank: float, dim: int) -> str:
    """The embeddings use one dimension."""
    return (
        f"the embeddings use hardly any of their {dim} dimensions. Their "
        f"effective_rank is {rank:.3g}. Usually the loss pulls more than it pushes, or "
        "the layers before the last have collapsed. Try a larger batch with more "
        "classes, a loss with more weight on negatives, or a lower learning rate."
    )


def pinned(value: float, at_one_point: float) -> str:
    """The loss is what it is without any order."""
    return (
        f"the loss is pinned. It is {value:.4g}, and {at_one_point:.4g} is what it is "
        "when all embeddings are one point, so that nothing is told apart. Usually the "
        "negatives are too hard too early, or the steps too large. Try a lower "
        "learning rate, easier mining, a larger batch, or another loss such as "
        "MultiSimilarityLoss."
    )


def nothing_to_learn(value: float) -> str:
    """The loss is 0."""
    return (
        f"nothing is left to learn. The loss is {value:.2g}. Either every anchor is "
        "satisfied: try harder mining, a larger batch, a larger margin, or stop. Or "
        "the batches hold no pairs: use a sampler, so that each class has several "
        "examples in a batch."
    )


def not_finite(epoch_loss: float | None) -> str:
    """NaN or infinity."""
    return (
        f"the training has diverged. The loss is {epoch_loss}, or embeddings are not "
        "finite. Usually the steps are too large, or the data hold NaN. Try a lower "
        "learning rate or `clipnorm=1.0` in the optimizer, look at the inputs, and go "
        "on from weights that were saved before."
    )
