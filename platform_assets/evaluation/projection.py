"""A map of a corpus's embeddings on their first two principal components.

Here: the projection and its figure; `canvas.png` turns it into bytes.
Not here: the embeddings (platform_assets/embeddings), other plots (plots.py, corpus_plots.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from platform_assets.evaluation.canvas import (
    COLOURS,
    canvas,
    counted,
    nothing,
    shorten,
    side_legend,
    subtitle,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 3_000
_GROUPS = 10
_CROWDED = 500


def document_group(path: str) -> str:
    """First folder of a path inside the corpus, or the extension of a file outside any folder."""
    parts = PurePosixPath(path).parts
    if len(parts) > 1:
        return parts[0]
    return PurePosixPath(path).suffix.lower() or "no extension"


def principal_plane(
    vectors: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project vectors on their first two principal components (Pearson 1901).

    Args:
        vectors: Shape (n, dimensions), n at least 1.

    Returns:
        Points of shape (n, 2) and the share of the variance along each axis, shape (2,). Each
        axis points to where its heaviest loading is positive, so that equal input looks equal.
    """
    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    axes = np.pad(axes, ((0, max(2 - len(axes), 0)), (0, 0)))[:2]
    spread = np.pad(spread, (0, max(2 - len(spread), 0)))
    heaviest = np.abs(axes).argmax(axis=1)
    axes = axes * np.where(axes[np.arange(2), heaviest] < 0, -1.0, 1.0)[:, None]
    total = np.square(spread).sum()
    share = np.square(spread[:2]) / total if total > 0 else np.zeros(2)
    return centred @ axes.T, share


def projection(
    corpus: str,
    encoder: str,
    vectors: NDArray[np.floating],
    groups: Sequence[str],
    total: int | None = None,
) -> Figure:
    """Map of the embeddings on their first two principal components, coloured by group.

    Args:
        corpus: Name of the corpus.
        encoder: Name of the encoder.
        vectors: One embedding a chunk, shape (n, dimensions).
        groups: Group of each chunk's document, see `document_group`.
        total: Chunks of the corpus, where these are not all of them.
    """
    title = f"Embeddings of {shorten(corpus)}"
    if not len(vectors):
        return nothing(title, "The corpus has no embeddings")
    figure, (axes,) = canvas(title)
    sample = _sample(len(vectors))
    total = max(total or 0, len(vectors))
    shown = f"{len(sample):,} of " if len(sample) < total else ""
    points, share = principal_plane(vectors[sample])
    shown += counted(total, "chunk")
    subtitle(axes, f"{shorten(encoder)}, {shown}, coloured by first folder or file type")
    _draw_groups(axes, points, np.asarray(groups, dtype=object)[sample])
    axes.set_xlabel(f"First principal component ({share[0]:.0%} of the variance)")
    axes.set_ylabel(f"Second principal component ({share[1]:.0%})")
    axes.grid(visible=False)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    side_legend(axes, marker_scale=1.0 if len(points) <= _CROWDED else 1.7)
    return figure


def _sample(count: int) -> NDArray[np.int64]:
    if count <= _POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _POINTS, replace=False))


def _draw_groups(axes: Axes, points: NDArray[np.float64], names: NDArray[np.object_]) -> None:
    """Scatter the largest groups in colours of their own, the rest in grey beneath them."""
    largest = [name for name, _ in Counter(names.tolist()).most_common(_GROUPS)]
    size = 12 if len(points) > _CROWDED else 36
    for rank, name in enumerate(largest):
        of_group = points[names == name]
        axes.scatter(
            of_group[:, 0],
            of_group[:, 1],
            s=size,
            color=COLOURS[rank % len(COLOURS)],
            marker="o" if rank < len(COLOURS) else "^",
            linewidths=0,
            alpha=0.75,
            label=f"{shorten(name, 22)} ({len(of_group):,})",
        )
    rest = points[~np.isin(names, largest)]
    if len(rest):
        label = f"other ({len(rest):,})"
        axes.scatter(
            rest[:, 0], rest[:, 1], s=size, color="#cccccc", linewidths=0, zorder=0.5, label=label
        )
