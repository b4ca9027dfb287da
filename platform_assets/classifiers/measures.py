"""How good a classifier is, beside one that always names the commonest class.

Here: accuracy, macro F1 and the interval of what it wins. Pure.
Not here: the classifier (network.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from platform_assets.evaluation.significance import CONFIDENCE, RESAMPLES, Interval

_SEED = 20_260_101
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the test documents show."""

    documents: int
    accuracy: float
    macro_f1: float
    majority_accuracy: float
    majority_f1: float
    gain: Interval
    """Macro F1 above the majority's, with its 95% interval over documents."""


def measure(truth: Sequence[str], predicted: Sequence[str], learned: Sequence[str]) -> Measured:
    """Measure predictions of test documents.

    A document of a class that was not learned counts as a wrong answer.

    Args:
        truth: Class of each test document.
        predicted: What the classifier says of each.
        learned: Classes of the training documents, of which the commonest is the majority.

    Raises:
        ValueError: there is no test document.
    """
    if not truth:
        raise ValueError("there is no test document: nothing can be measured")
    names = sorted({*truth, *predicted, *learned})
    number = {name: place for place, name in enumerate(names)}
    commonest = min(Counter(learned).items(), key=lambda item: (-item[1], item[0]))[0]
    true = np.array([number[name] for name in truth])
    said = np.array([number[name] for name in predicted])
    always = np.full_like(true, number[commonest])
    return Measured(
        documents=len(truth),
        accuracy=float((true == said).mean()),
        macro_f1=macro_f1(true, said, len(names)),
        majority_accuracy=float((true == always).mean()),
        majority_f1=macro_f1(true, always, len(names)),
        gain=_gain(true, said, always, len(names)),
    )


def macro_f1(true: Numbers, said: Numbers, classes: int) -> float:
    """Mean F1 over the classes that occur in truth or answers."""
    confusion = np.bincount(true * classes + said, minlength=classes**2).reshape(classes, classes)
    hits = np.diagonal(confusion)
    of_class = confusion.sum(axis=0) + confusion.sum(axis=1)  # answers and documents
    there = of_class > 0
    return float((2 * hits[there] / of_class[there]).mean())


def _gain(true: Numbers, said: Numbers, always: Numbers, classes: int) -> Interval:
    """Difference of two macro F1, by a paired bootstrap over documents (Efron 1979)."""
    generator = np.random.default_rng(_SEED)
    gains = np.empty(RESAMPLES)
    for turn in range(RESAMPLES):
        rows = generator.integers(len(true), size=len(true))
        own = macro_f1(true[rows], said[rows], classes)
        gains[turn] = own - macro_f1(true[rows], always[rows], classes)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    mean = macro_f1(true, said, classes) - macro_f1(true, always, classes)
    return Interval(mean, float(low), float(high))
