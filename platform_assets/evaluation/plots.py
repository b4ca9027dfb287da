"""Plots that compare encoders: quality, recall against k, training loss.

Here: figures from plain data; `canvas.png` turns one into bytes.
Not here: plots of the corpus itself (corpus_plots.py), where the numbers come from (metrics.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from platform_assets.evaluation.canvas import (
    COLOURS,
    MUTED,
    TEXT_POINTS,
    canvas,
    nothing,
    shorten,
    side_legend,
    subtitle,
    whole_numbers,
)
from platform_assets.evaluation.significance import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = ("o", "s", "^", "D")
_STYLES = ("-", "--", "-.", ":")
_SMOOTHED_FROM = 40
_GROUP_GAP = 0.8


def quality(
    corpus: str, scores: Mapping[tuple[str, str], Interval], bm25: Interval | None
) -> Figure:
    """nDCG@10 of each encoder and retriever with 95% intervals, BM25 as the reference.

    Args:
        corpus: Name of the corpus.
        scores: (encoder, retriever) -> nDCG@10.
        bm25: nDCG@10 of the BM25 baseline.
    """
    title = f"Retrieval quality on {shorten(corpus)}"
    if not scores:
        return nothing(title, "No encoder has been evaluated yet")
    figure, (axes,) = canvas(title, entries=len(scores) + 2)
    subtitle(axes, "nDCG@10 on the test queries, mean and 95% interval")
    axes.set_yticks(*_quality_rows(axes, scores))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    if bm25:
        axes.axvspan(bm25.low, bm25.high, color="#eeeeee", zorder=0)
        axes.axvline(bm25.mean, color=MUTED, linestyle="--", label=f"bm25 alone {bm25.mean:.3f}")
    _quality_limits(axes, [*scores.values(), *([bm25] if bm25 else [])])
    axes.set_xlabel("nDCG@10 (0 worst, 1 best)")
    figure.legend(loc="outside lower right", ncols=4, frameon=False, fontsize=TEXT_POINTS)
    return figure


def _quality_rows(
    axes: Axes, scores: Mapping[tuple[str, str], Interval]
) -> tuple[list[float], list[str]]:
    """Draw one row a score, grouped by encoder; returns where each encoder's name stands."""
    retrievers = _distinct(retriever for _, retriever in scores)
    middles: list[float] = []
    names: list[str] = []
    row = 0.0
    for encoder in _distinct(encoder for encoder, _ in scores):
        own = [retriever for retriever in retrievers if (encoder, retriever) in scores]
        middles.append(row + (len(own) - 1) / 2)
        names.append(shorten(encoder))
        for retriever in own:
            style = retrievers.index(retriever)
            _quality_point(axes, row, scores[encoder, retriever], style)
            row += 1
        row += _GROUP_GAP
    for style, retriever in enumerate(retrievers):
        axes.plot(
            [],
            [],
            _MARKERS[style % len(_MARKERS)],
            color=COLOURS[style % len(COLOURS)],
            label=retriever,
        )
    axes.set_ylim(-0.7, row - _GROUP_GAP - 0.3)
    return middles, names


def _quality_point(axes: Axes, row: float, score: Interval, style: int) -> None:
    from matplotlib.patheffects import withStroke

    colour = COLOURS[style % len(COLOURS)]
    axes.plot([score.low, score.high], [row, row], color=colour, linewidth=2)
    axes.plot(score.mean, row, _MARKERS[style % len(_MARKERS)], color=colour, markersize=7)
    axes.annotate(
        f"{score.mean:.3f}",
        (score.high, row),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=TEXT_POINTS,
        color=colour,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )


def _quality_limits(axes: Axes, intervals: Sequence[Interval]) -> None:
    high = max(interval.high for interval in intervals)
    low = min(*(interval.low for interval in intervals), high - 0.1)
    span = high - low
    left, right = max(low - 0.1 * span, 0.0), high + 0.16 * span
    axes.set_xlim(left, right)
    axes.set_xticks([tick for tick in axes.get_xticks() if left <= tick <= 1])


def recall_by_k(
    corpus: str, curves: Mapping[tuple[str, str], Sequence[float]], bm25: Sequence[float] | None
) -> Figure:
    """Mean recall at 1, 2, ... of each encoder and retriever.

    Args:
        corpus: Name of the corpus.
        curves: (encoder, retriever) -> mean recall at each k from 1 on.
        bm25: The same of the BM25 baseline.
    """
    title = f"Recall at k on {shorten(corpus)}"
    if not curves:
        return nothing(title, "No encoder has been evaluated yet")
    figure, (axes,) = canvas(title, entries=len(curves) + 2)
    subtitle(axes, "Share of relevant documents among the first k, mean over the test queries")
    encoders = _distinct(encoder for encoder, _ in curves)
    retrievers = _distinct(retriever for _, retriever in curves)
    ends: dict[str, float] = {}
    for (encoder, retriever), curve in curves.items():
        colour = COLOURS[encoders.index(encoder) % len(COLOURS)]
        style = _STYLES[retrievers.index(retriever) % len(_STYLES)]
        label = f"{shorten(encoder)} {retriever}"
        axes.plot(range(1, len(curve) + 1), curve, style, color=colour, linewidth=2, label=label)
        ends[label] = curve[-1]
    if bm25 is not None:
        axes.plot(range(1, len(bm25) + 1), bm25, ":", color=MUTED, linewidth=2, label="bm25 alone")
        ends["bm25 alone"] = bm25[-1]
    _recall_axes(axes, [*curves.values(), *([bm25] if bm25 is not None else [])])
    side_legend(axes, ends=ends)
    return figure


def _recall_axes(axes: Axes, curves: Sequence[Sequence[float]]) -> None:
    from matplotlib.ticker import NullLocator

    depth = max(len(curve) for curve in curves)
    lowest = min(min(curve) for curve in curves)
    ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= depth]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(1, max(depth, 1.1))
    axes.set_ylim(max(math.floor(lowest * 20 - 1) / 20, 0), 1.005)
    axes.set_xlabel("k, documents read (log scale)")
    axes.set_ylabel("Recall@k")


def training_loss(losses: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Training loss by optimizer step; long series are drawn pale under their moving mean.

    Args:
        losses: Encoder -> (step, loss) in order of step.
    """
    title = "Training loss by encoder"
    trained = {encoder: series for encoder, series in losses.items() if series}
    if not trained:
        return nothing(title, "No encoder with a training recipe has been trained yet")
    figure, (axes,) = canvas(title, entries=len(trained) + 2)
    smoothed = any(len(series) >= _SMOOTHED_FROM for series in trained.values())
    subtitle(axes, "Loss at each logged step" + (", moving mean in bold" if smoothed else ""))
    for index, (encoder, series) in enumerate(trained.items()):
        label = f"{shorten(encoder)}, last {series[-1][1]:.3f}"
        _draw_loss(axes, series, COLOURS[index % len(COLOURS)], label)
    axes.set_xlabel("Optimizer step")
    axes.set_ylabel("Training loss")
    axes.set_xlim(left=0)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
    whole_numbers(axes.xaxis, ticks=8)
    figure.legend(loc="outside lower right", ncols=2, frameon=False, fontsize=TEXT_POINTS)
    return figure


def _draw_loss(axes: Axes, series: Sequence[tuple[int, float]], colour: str, label: str) -> None:
    steps, losses = np.asarray(series, dtype=np.float64).T
    if len(losses) < _SMOOTHED_FROM:
        axes.plot(steps, losses, "o-", color=colour, linewidth=2, markersize=4, label=label)
        return
    axes.plot(steps, losses, color=colour, linewidth=1, alpha=0.3)
    window = 2 * (len(losses) // _SMOOTHED_FROM) + 1
    mean = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    middle = steps[(window - 1) // 2 :][: len(mean)]
    axes.plot(middle, mean, color=colour, linewidth=2.2, label=label)


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
