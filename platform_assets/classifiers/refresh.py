"""Trains the classifier of a corpus and measures it on the documents it has not seen.

Here: from tables to a folder of weights with its measures. Not here: Dagster, the record.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from platform_assets.classifiers.dataset import FEWEST, Documents, documents
from platform_assets.classifiers.measures import Measured, measure
from platform_assets.classifiers.network import Classifier, name_classes
from platform_assets.documents.table import DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.provenance import Record
from resources.classifiers import ClassifierJob, ClassifierResult, Hyperparameters
from resources.warehouse import Warehouse

Train = Callable[[ClassifierJob, Path], ClassifierResult]


class NothingToLearnError(LookupError):
    """The documents give no two classes, or none to measure with."""


@dataclass(frozen=True, slots=True)
class MadeClassifier:
    """A classifier that was trained now."""

    folder: Path
    classes: tuple[str, ...]
    trained_on: int
    """Documents."""
    measured: Measured
    result: ClassifierResult


def read(warehouse: Warehouse, corpus: str, encoder: str, listed: Record, own: Record) -> Documents:
    """Documents with features, as the records of `documents` and `embeddings` pin them."""
    columns = ["doc_id", "key", "media_type"]
    rows = warehouse.scan(DOCUMENTS, {"corpus": corpus}, columns, snapshot=listed.snapshot)
    scope = {"corpus": corpus, "encoder": encoder}
    vectors = warehouse.scan(EMBEDDINGS, scope, ["doc_id", "vector"], snapshot=own.snapshot)
    return documents(rows, vectors)


def refresh(
    found: Documents, settings: Hyperparameters, train: Train, folder: Path
) -> MadeClassifier:
    """Train and measure.

    Args:
        found: Documents with features.
        settings: What decides the network.
        train: An engine.
        folder: Emptied first.

    Raises:
        NothingToLearnError: says which documents are wanting.
    """
    classes = found.classes()
    if len(classes) < FEWEST or found.training.all():
        names = ", ".join(sorted(set(found.labels))) or "none"
        raise NothingToLearnError(
            f"{len(found.ids)} documents in {len(set(found.labels))} classes ({names}), of which "
            f"{len(classes)} have at least {FEWEST} training documents: a classifier needs two "
            "such classes and some documents to measure with; put documents into first-level "
            "folders, one a class"
        )
    shutil.rmtree(folder, ignore_errors=True)
    made = folder / "classifier"
    made.mkdir(parents=True)
    features, labels = found.chosen(classes)
    np.savez(folder / "data.npz", features=features, labels=labels)
    job = ClassifierJob(str(folder / "data.npz"), str(made), len(classes), settings)
    result = train(job, folder)
    name_classes(made, classes)
    held_out = np.flatnonzero(~found.training)
    measured = measure(
        [found.labels[row] for row in held_out],
        Classifier.load(made).classify(found.features[held_out]),
        [classes[label] for label in labels],
    )
    return MadeClassifier(made, classes, len(labels), measured, result)
