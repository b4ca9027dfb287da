"""Plots of a corpus: chunk lengths and growth.

Here: figures from plain data; `canvas.png` turns one into bytes.
Not here: the map of embeddings (projection.py), plots that compare encoders (plots.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from platform_assets.evaluation.canvas import (
    COLOURS,
    TEXT_POINTS,
    canvas,
    counted,
    nothing,
    shorten,
    subtitle,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 40


def chunk_lengths(corpus: str, tokens: Sequence[int] | NDArray[np.integer], limit: int) -> Figure:
    """Histogram of chunk lengths with the encoder's limit marked.

    Args:
        corpus: Name of the corpus.
        tokens: Length of each chunk in the encoder's tokens, special tokens included.
        limit: Most tokens the encoder reads.
    """
    title = f"Chunk lengths in {shorten(corpus)}"
    lengths = np.asarray(tokens, dtype=np.int64)
    if not lengths.size:
        return nothing(title, "The corpus has no chunks")
    figure, (axes,) = canvas(title)
    subtitle(
        axes,
        f"{counted(lengths.size, 'chunk')}: median {np.median(lengths):,.0f}, "
        f"longest {lengths.max():,} tokens; the encoder reads at most {limit:,}",
    )
    end = max(limit, int(lengths.max()))
    step = -(-end // _BINS)
    # Bins count back from the limit, so that a chunk at the limit stands left of its line.
    edges = np.arange(limit % step - step, end + step + 1, step) + 0.5
    axes.hist(lengths, bins=edges.tolist(), color=COLOURS[0], edgecolor="white")
    axes.set_xlim(0, end * 1.03)
    axes.margins(y=0.12)
    _mark_limit(axes, limit)
    axes.set_xlabel("Chunk length (tokens, special tokens included)")
    axes.set_ylabel("Chunks")
    whole_numbers(axes.xaxis, ticks=8)
    whole_numbers(axes.yaxis)
    return figure


def _mark_limit(axes: Axes, limit: int) -> None:
    axes.axvline(limit + 0.5, color=COLOURS[1], linewidth=2)
    axes.annotate(
        "encoder's limit",
        (limit, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-6, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=TEXT_POINTS,
        color=COLOURS[1],
    )


def growth(corpus: str, series: Mapping[str, Sequence[tuple[datetime, int]]]) -> Figure:
    """Size of the corpus over time, one panel a series.

    Args:
        corpus: Name of the corpus.
        series: What is counted ("documents", "chunks") -> (time with a zone, count) of each
            materialisation.
    """
    title = f"Growth of {shorten(corpus)}"
    counts = {name: sorted(points) for name, points in series.items() if points}
    if not counts:
        return nothing(title, "The corpus has never been materialised")
    figure, panels = canvas(title, rows=len(counts))
    ends = [time for points in counts.values() for time, _ in (points[0], points[-1])]
    for index, (name, points) in enumerate(counts.items()):
        _draw_growth(panels[index], name, points, max(ends), COLOURS[index % len(COLOURS)])
    _time_axis(panels[-1], min(ends), max(ends))
    return figure


def _draw_growth(
    axes: Axes, name: str, points: Sequence[tuple[datetime, int]], until: datetime, colour: str
) -> None:
    times = _utc([*(time for time, _ in points), until])
    counts = [count for _, count in points]
    axes.step(times, [*counts, counts[-1]], where="post", color=colour, linewidth=2)
    axes.plot(times[:-1], counts, "o", color=colour, markersize=4.5)
    axes.set_ylim(0, max(*counts, 1) * 1.2)
    axes.set_ylabel(name.capitalize())
    subtitle(axes, f"{counts[-1]:,} {name} after {counted(len(points), 'materialisation')}")
    whole_numbers(axes.yaxis)


def _utc(times: Sequence[datetime]) -> NDArray[np.datetime64]:
    return np.array([time.astimezone(UTC).replace(tzinfo=None) for time in times], "datetime64[us]")


def _time_axis(axes: Axes, first: datetime, last: datetime) -> None:
    import matplotlib.dates

    dates: Any = matplotlib.dates  # comes without types
    margin = (last - first) * 0.03 or timedelta(days=1)
    axes.set_xlim(*dates.date2num(_utc([first - margin, last + margin])))
    locator = dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
    axes.set_xlabel("Time (UTC)")
