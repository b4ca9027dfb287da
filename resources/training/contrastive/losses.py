"""The losses, pure functions of a step's vectors.

Here: how well queries find their passages, as a number to bring down.
Not here: where vectors and gradients come from (gradients.py).
"""

import math

import torch
from torch.nn import functional

from resources.training.hyperparameters import Hyperparameters
from resources.training.pairs import Batch


def contrastive_loss(
    vectors: torch.Tensor, batch: Batch, settings: Hyperparameters
) -> torch.Tensor:
    """The recipe's loss, a scalar.

    With `dimensions`, the mean over the whole vectors and their prefixes, each brought to L2 norm 1
    (Kusupati et al. 2022, "Matryoshka Representation Learning", arXiv:2205.13147).

    Args:
        vectors: Shape (queries + candidates, dimensions), rows of L2 norm 1: the batch's texts.
        batch: Which candidate answers which query.
        settings: loss, scale and dimensions.
    """
    sizes = (vectors.shape[1], *settings.dimensions)
    if max(sizes) > vectors.shape[1]:
        raise ValueError(f"dimensions: {max(sizes)} is more than the base's {vectors.shape[1]}")
    losses = [
        _loss(functional.normalize(vectors[:, :size], dim=-1), batch, settings)
        if size < vectors.shape[1]
        else _loss(vectors, batch, settings)
        for size in sizes
    ]
    return torch.stack(losses).mean()


def _loss(vectors: torch.Tensor, batch: Batch, settings: Hyperparameters) -> torch.Tensor:
    """Multiple-negatives ranking loss: cross-entropy of the positive among all candidates.

    Scores are cosines times `scale`, the inverse of the temperature. Henderson et al. 2017,
    "Efficient Natural Language Response Suggestion for Smart Reply" (arXiv:1705.00652); the same
    as InfoNCE of van den Oord et al. 2018 (arXiv:1807.03748). Other right answers are masked.
    `symmetric` adds the same from each positive to the queries, as Radford et al. 2021
    (arXiv:2103.00020) do.
    """
    queries, candidates = vectors[: len(batch.queries)], vectors[len(batch.queries) :]
    labels = torch.from_numpy(batch.labels).to(vectors.device)
    masked = torch.from_numpy(batch.masked).to(vectors.device)
    scores = (queries @ candidates.T * settings.scale).masked_fill(masked, -math.inf)
    loss = functional.cross_entropy(scores, labels)
    if settings.loss == "ranking":
        return loss
    each = torch.arange(len(labels), device=labels.device)
    alike = (labels[:, None] == labels) & (each[:, None] != each)
    backwards = scores[:, labels].T.masked_fill(alike, -math.inf)
    return (loss + functional.cross_entropy(backwards, each)) / 2
