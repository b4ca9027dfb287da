"""What all plots share: size, type, colours, legends, PNG bytes.

Here: helpers over matplotlib's Figure objects; nothing touches pyplot's global state.
Not here: what is plotted (plots.py, corpus_plots.py).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

WIDTH_INCHES = 8.0
HEIGHT_INCHES = 4.5
DPI = 110
INK = "#333333"
MUTED = "#6b6b6b"
# Colours of Okabe and Ito (2008), told apart with any colour vision; yellow, too pale for lines
# on white, is left out.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
TEXT_POINTS = 9.5
_ENTRY_INCHES = 0.25
_NAME_LENGTH = 30


def canvas(title: str, rows: int = 1, entries: int = 0) -> tuple[Figure, list[Axes]]:
    """An empty figure of `rows` panels above each other, tall enough for `entries` text lines."""
    from matplotlib.figure import Figure

    height = max(HEIGHT_INCHES, 1.5 + entries * _ENTRY_INCHES)
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, layout=_layout())
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)
    panels = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0].tolist()
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=TEXT_POINTS, colors=INK)
    return figure, panels


def _layout() -> ConstrainedLayoutEngine:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08)


def subtitle(axes: Axes, text: str) -> None:
    """A grey line under the title."""
    axes.set_title(text, loc="left", fontsize=10, color=MUTED)


def nothing(title: str, reason: str) -> Figure:
    """A figure that says why there is nothing to plot."""
    figure, (axes,) = canvas(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", fontsize=12, color=MUTED)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as PNG of 256 colours, a third of the size; equal figures give equal bytes."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    image = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(packed, "png", optimize=True)
    return packed.getvalue()


def shorten(name: str, length: int = _NAME_LENGTH) -> str:
    """The name with its middle left out if it is too long: its two ends tell names apart."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[head + 1 - length :]}"


def side_legend(
    axes: Axes, marker_scale: float = 1.0, ends: Mapping[str, float] | None = None
) -> None:
    """A legend right of the panel, below the height of the titles.

    Args:
        axes: Panel whose labelled lines or points are listed.
        marker_scale: How much larger than in the plot the markers are.
        ends: Label -> height at which its line ends; lists the highest first.
    """
    handles, labels = axes.get_legend_handles_labels()
    entries = list(zip(handles, labels, strict=True))
    if ends:
        entries.sort(key=lambda entry: ends[entry[1]], reverse=True)
    axes.legend(
        *zip(*entries, strict=True),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        frameon=False,
        fontsize=TEXT_POINTS,
        handlelength=2.6,
        markerscale=marker_scale,
    )


def counted(count: int, noun: str) -> str:
    """A number and its noun: `1 chunk`, `4,800 chunks`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def whole_numbers(axis: Axis, ticks: int = 5) -> None:
    """Ticks at whole numbers only, thousands set off by commas."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.set_major_locator(MaxNLocator(nbins=ticks, integer=True, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
