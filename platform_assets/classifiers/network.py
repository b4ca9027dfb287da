"""A trained classifier as it lies in the lake: its folder, and what it says of a document.

Here: reading it without Keras, so that whoever has the weights can use it.
Not here: training it (resources/classifiers).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from resources.classifiers import WEIGHTS

CLASSES = "classes.json"
"""File with the names of the classes, in the order of the network's scores."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """One rectified hidden layer and one score a class."""

    classes: tuple[str, ...]
    weights: Mapping[str, NDArray[np.float32]]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder."""
        from safetensors.numpy import load_file

        names = json.loads((folder / CLASSES).read_text())
        return cls(tuple(names), load_file(folder / WEIGHTS))

    def classify(self, features: NDArray[np.float32]) -> list[str]:
        """The class of each row of features (documents, dimensions)."""
        inner = features @ self.weights["hidden.kernel"] + self.weights["hidden.bias"]
        scores = np.maximum(inner, 0) @ self.weights["output.kernel"] + self.weights["output.bias"]
        return [self.classes[place] for place in scores.argmax(axis=1)]


def name_classes(folder: Path, classes: Sequence[str]) -> None:
    """Write the names of the classes beside the weights."""
    (folder / CLASSES).write_text(json.dumps(list(classes), ensure_ascii=False))
