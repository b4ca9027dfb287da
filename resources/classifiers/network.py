"""The network, by whichever Keras: Keras 3, or Keras 2 for what TensorFlow distributes.

Here: its layers, class weights and weights by name. Not here: how it is trained (worker.py and
the engines). No import is heavy: the Keras to use is an argument.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.classifiers import Hyperparameters

NAMES = ("hidden.kernel", "hidden.bias", "output.kernel", "output.bias")


def build(keras: Any, dimensions: int, classes: int, settings: Hyperparameters) -> Any:
    """One rectified hidden layer, dropout, one score (logit) a class."""
    return keras.Sequential(
        [
            keras.layers.Input((dimensions,)),
            keras.layers.Dense(settings.units, activation="relu"),
            keras.layers.Dropout(settings.dropout, seed=settings.seed),
            keras.layers.Dense(classes),
        ]
    )


def compiled(keras: Any, dimensions: int, classes: int, settings: Hyperparameters) -> Any:
    """The network with Adam (Kingma and Ba 2015) and cross-entropy."""
    model = build(keras, dimensions, classes, settings)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def class_weights(labels: NDArray[np.int32], classes: int) -> NDArray[np.float32]:
    """Weight of each class, so that all together count alike; 1 where they are equally many."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).astype(np.float32)


def named(weights: list[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Weights in Keras's order, by name."""
    found = (np.ascontiguousarray(weight, dtype=np.float32) for weight in weights)
    return dict(zip(NAMES, found, strict=True))
