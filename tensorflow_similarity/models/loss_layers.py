"""Weights of losses, as layers that the model trains and saves."""

from typing import Any

import keras

from tensorflow_similarity._core.embedding import output_names
from tensorflow_similarity.losses import MetricLoss, TrainedLoss


class LossLayers(keras.layers.Layer):
    """One permanent place in a model for the layers of its losses.

    Keras cannot take a tracked layer out of a model. So what a recompiled model no
    longer uses stays here, neither trained nor saved, until the model itself goes.
    """

    def __init__(self) -> None:
        super().__init__(name="loss_layers", dtype="float32")
        self.built = True
        self._slots: tuple[str, ...] = ()

    def place(self, layers: dict[str, keras.layers.Layer]) -> None:
        """Makes `layers`, by slot, the ones in use."""
        for slot in self._slots:
            getattr(self, slot).trainable = False
            delattr(self, slot)
        for slot, layer in layers.items():
            layer.trainable = True
            setattr(self, slot, layer)
        self._slots = tuple(layers)


class NoteCheck(keras.callbacks.Callback):
    """Ends `fit` at the end of an epoch in which a loss met what it cannot take.

    Graphs cannot raise: they note it, such as a label that is no class, and this reads
    the notes.
    """

    def __init__(self, losses: list[TrainedLoss]):
        super().__init__()
        self.losses = losses

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.check()

    def check(self) -> None:
        """Raises ValueError for what was noted."""
        for loss in self.losses:
            loss.check_notes()

    def among(self, callbacks: Any) -> Any:
        """The `callbacks` of `fit` with this one, before those that save the model."""
        if not self.losses:
            return callbacks
        if isinstance(callbacks, keras.callbacks.CallbackList):
            if self not in callbacks.callbacks:
                callbacks.callbacks.insert(0, self)
            return callbacks
        return [self, *keras.tree.flatten([] if callbacks is None else callbacks)]


def attach(model: Any, loss: Any) -> list[TrainedLoss]:
    """Builds the weights of the losses in `loss` and has `model` track them.

    Args:
        model: as it was compiled.
        loss: what `compile` got: one loss, a list, a dict by output.

    Returns:
        The losses with weights.

    Raises:
        ValueError: if a width is needed that neither model nor loss knows, or differs
            from the one the weights were made for.
    """
    layers: dict[str, Any] = {}
    losses = []
    for output, part, dim in _parts(model, loss):
        known = part.dim if dim is None else dim
        if known is None:
            raise ValueError(
                f"The loss {part.name!r} has weights whose width is that of the "
                "embeddings, and the model does not know its output yet. Give the "
                "loss `dim=`, or call the model once before `compile`."
            )
        part.build(known)
        losses.append(part)
        layers[f"output_{output}_{len(layers)}"] = part.layer
    if layers or hasattr(model, "loss_layers"):
        container(model).place(layers)
    return losses


def container(model: Any) -> LossLayers:
    """The model's place for layers of losses, made now if there is none."""
    if not hasattr(model, "loss_layers"):
        model.loss_layers = LossLayers()
    layers: LossLayers = model.loss_layers
    return layers


def _parts(model: Any, loss: Any) -> list[tuple[int, Any, int | None]]:
    """Losses with weights: (number of the output, loss, width)."""
    widths = _widths(model)
    if isinstance(loss, dict):
        names = output_names(model)
        numbered = [
            (names.index(name) if name in names else i, one)
            for i, (name, one) in enumerate(loss.items())
        ]
    elif isinstance(loss, list | tuple):
        numbered = list(enumerate(loss))
    else:
        numbered = [(0, loss)]
    return [
        (number, part, dim)
        for number, one in numbered
        if isinstance(one, MetricLoss)
        for part, dim in one.trained_parts(
            widths[number] if number < len(widths) else None
        )
    ]


def _widths(model: Any) -> list[int | None]:
    """Width of each output; empty while the model does not know."""
    tell = getattr(model, "_output_widths", None)
    if tell is not None:
        return list(tell())
    outputs = getattr(model, "outputs", None)
    return [tensor.shape[-1] for tensor in keras.tree.flatten(outputs or [])]
