import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from platform_assets.evaluation.canvas import counted, png, shorten
from platform_assets.evaluation.corpus_plots import chunk_lengths, growth
from platform_assets.evaluation.plots import quality, recall_by_k, training_loss
from platform_assets.evaluation.projection import document_group, principal_plane, projection
from platform_assets.evaluation.significance import Interval

LONG = "an-encoder-with-a-name-that-somebody-chose-on-a-long-evening"
ENCODERS = ["minilm", "minilm-tuned", LONG, "e5"]
CORPUS = "a-corpus-with-a-name-that-needs-shortening-as-well"
START = datetime(2026, 7, 1, 9, tzinfo=UTC)


def intervals(encoders: list[str], base: float = 0.7) -> dict[tuple[str, str], Interval]:
    systems = [(encoder, retriever) for encoder in encoders for retriever in ("dense", "hybrid")]
    means = {system: base + 0.02 * rank for rank, system in enumerate(systems)}
    return {system: Interval(mean, mean - 0.03, mean + 0.03) for system, mean in means.items()}


def curves(encoders: list[str], base: float = 0.5) -> dict[tuple[str, str], list[float]]:
    k = np.arange(1, 101)
    return {
        system: (1 - (1 - base - 0.02 * rank) * k**-0.5).tolist()
        for rank, system in enumerate(intervals(encoders))
    }


def losses(steps: int, seed: int = 1) -> list[tuple[int, float]]:
    noise = np.random.default_rng(seed).uniform(0, 0.1, steps)
    return [(10 * n + 1, float(np.exp(-n / 30) + noise[n])) for n in range(steps)]


def vectors(count: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 32)).astype(np.float32)


def counts(points: int, last: int = 500) -> list[tuple[datetime, int]]:
    return [(START + timedelta(days=3 * n), last + n - points + 1) for n in range(points)]


FIGURES: dict[str, Callable[[], Figure]] = {
    "quality of one": lambda: quality("packages", intervals(["minilm"]), Interval(0.6, 0.5, 0.7)),
    "quality of four": lambda: quality(CORPUS, intervals(ENCODERS), Interval(0.6, 0.5, 0.7)),
    "quality, perfect": lambda: quality("x", {("minilm", "dense"): Interval(1, 1, 1)}, None),
    "quality, none": lambda: quality("packages", {}, None),
    "recall of one": lambda: recall_by_k("packages", curves(["minilm"]), [0.5] * 100),
    "recall of four": lambda: recall_by_k(CORPUS, curves(ENCODERS), [0.5] * 100),
    "recall, nothing found": lambda: recall_by_k("x", {("minilm", "dense"): [0.0] * 100}, None),
    "recall, none": lambda: recall_by_k("packages", {}, None),
    "loss of one": lambda: training_loss({"minilm-tuned": losses(120)}),
    "loss of four": lambda: training_loss({name: losses(90) for name in ENCODERS}),
    "loss of one step": lambda: training_loss({"minilm-tuned": [(1, 0.8)]}),
    "loss, none": lambda: training_loss({"minilm": []}),
    "lengths": lambda: chunk_lengths(CORPUS, np.arange(4, 257), 256),
    "lengths of one": lambda: chunk_lengths("packages", [17], 256),
    "lengths, none": lambda: chunk_lengths("packages", [], 256),
    "projection": lambda: projection(
        CORPUS, LONG, vectors(3500), [f"{n % 14}-{LONG}" for n in range(3500)]
    ),
    "projection of one": lambda: projection("packages", "minilm", vectors(1), [".md"]),
    "projection, none": lambda: projection("packages", "minilm", vectors(0), []),
    "growth": lambda: growth(CORPUS, {"documents": counts(12), "chunks": counts(9, 6000)}),
    "growth of one": lambda: growth("packages", {"documents": counts(1), "chunks": counts(1)}),
    "growth, none": lambda: growth("packages", {"documents": []}),
}


@cache
def rendered(name: str) -> tuple[Figure, bytes]:
    figure = FIGURES[name]()
    return figure, png(figure)


def undrawn(axes: Axes) -> Iterator[Text]:
    """Texts that matplotlib keeps but does not draw: ticks outside the limits, hidden axes."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not axes.axison or not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


def drawn_texts(figure: Figure) -> list[Text]:
    hidden = {id(text) for axes in figure.axes for text in undrawn(axes)}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [
        text
        for text in texts
        if id(text) not in hidden and text.get_visible() and text.get_text().strip()
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_texts_are_large_enough_inside_and_apart(name: str) -> None:
    figure, _ = rendered(name)
    texts = drawn_texts(figure)
    assert texts
    for text in texts:
        box = text.get_window_extent()
        assert float(text.get_fontsize()) >= 9, text
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for one, other in combinations(texts, 2):
        overlap = one.get_window_extent().padded(-1).overlaps(other.get_window_extent().padded(-1))
        assert not overlap, (one, other)


@pytest.mark.parametrize("name", FIGURES)
def test_png_decodes_at_the_size_the_ui_shows_and_is_small(name: str) -> None:
    _, data = rendered(name)
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == "PNG"
    assert image.width == 880
    assert 495 <= image.height <= 600
    assert len(data) < 150_000
    assert len(image.convert("L").getcolors() or []) > 5


VARIED: dict[str, Callable[[int], Figure]] = {
    "quality": lambda n: quality("x", intervals(["a"], 0.7 + n / 100), None),
    "recall": lambda n: recall_by_k("x", curves(["a"], 0.5 + n / 100), None),
    "loss": lambda n: training_loss({"a": losses(50, seed=n)}),
    "lengths": lambda n: chunk_lengths("x", [5, 9 + 10 * n], 64),
    "projection": lambda n: projection("x", "a", vectors(9, seed=n), ["g"] * 9),
    "growth": lambda n: growth("x", {"documents": counts(3 + n)}),
}


@pytest.mark.parametrize("plot", VARIED.values(), ids=VARIED)
def test_pictures_follow_the_data_and_nothing_else(plot: Callable[[int], Figure]) -> None:
    assert png(plot(1)) != png(plot(2))
    assert png(plot(1)) == png(plot(1))


def labels(figure: Figure) -> list[str]:
    png(figure)
    return [text.get_text() for text in drawn_texts(figure)]


def test_quality_names_every_encoder_retriever_and_mean() -> None:
    shown = labels(quality("packages", intervals(ENCODERS), Interval(0.6, 0.5, 0.7)))
    assert {"Retrieval quality on packages", "minilm", "minilm-tuned", "dense", "hybrid"} <= set(
        shown
    )
    assert "bm25 alone 0.600" in shown
    assert {f"{score.mean:.3f}" for score in intervals(ENCODERS).values()} <= set(shown)


def test_recall_legend_stands_in_the_order_of_the_lines() -> None:
    figure = recall_by_k("x", curves(["a", "b"]), [0.99] * 100)
    legend: Any = figure.axes[0].get_legend()
    order = [text.get_text() for text in legend.get_texts()]
    assert order == ["bm25 alone", "b hybrid", "b dense", "a hybrid", "a dense"]


def test_quality_intervals_stand_on_rows_of_their_own() -> None:
    scores = intervals(ENCODERS)
    lines: list[Any] = quality("x", scores, None).axes[0].get_lines()
    spans = {tuple(line.get_xdata()): tuple(line.get_ydata()) for line in lines}
    rows = [spans[score.low, score.high] for score in scores.values()]
    assert [low for low, _ in rows] == [high for _, high in rows]
    assert len(set(rows)) == len(scores)


def test_quality_axis_ends_at_a_perfect_score() -> None:
    shown = labels(quality("x", {("minilm", "dense"): Interval(1, 1, 1)}, None))
    numbers = [float(text) for text in shown if text[0].isdigit()]
    assert max(numbers) == 1.0


@pytest.mark.parametrize("plot", [quality, recall_by_k], ids=["quality", "recall"])
def test_many_encoders_make_a_taller_picture(plot: Callable[..., Figure]) -> None:
    encoders = [f"encoder-{n}" for n in range(9)]
    many = plot("x", intervals(encoders) if plot is quality else curves(encoders), None)
    assert many.get_figheight() > 4.5
    assert len(png(many)) < 150_000


def test_counts_have_round_ticks_with_commas() -> None:
    shown = labels(chunk_lengths("x", np.full(4100, 250), 256))
    assert {"50", "100", "150", "200", "250", "1,000", "2,000", "3,000", "4,000"} <= set(shown)


def test_bars_left_of_the_limit_hold_every_chunk_within_it() -> None:
    figure = chunk_lengths("x", [1, 255, 256, 256], 256)
    bars: Any = figure.axes[0].patches
    within = sum(bar.get_height() for bar in bars if bar.get_x() + bar.get_width() <= 256.5)
    assert within == 4
    assert sum(bar.get_height() for bar in bars) == 4


def test_a_chunk_over_the_limit_stands_right_of_its_line() -> None:
    bars: Any = chunk_lengths("x", [100, 300], 256).axes[0].patches
    assert sum(bar.get_height() for bar in bars if bar.get_x() >= 256.5) == 1


def test_projection_counts_ten_groups_and_the_rest() -> None:
    groups = [f"g{n % 13:02}" for n in range(130)]
    legend: Any = projection("x", "a", vectors(130), groups).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()][-2:] == ["g09 (10)", "other (30)"]


def test_projection_says_how_many_it_shows() -> None:
    shown = labels(projection("x", "minilm", vectors(3100), ["g"] * 3100))
    assert "minilm, 3,000 of 3,100 chunks, coloured by first folder or file type" in shown


def test_principal_plane_finds_the_axes_of_spread() -> None:
    wide, narrow = np.random.default_rng(1).normal(size=(2, 400))
    flat = np.zeros((400, 5))
    flat[:, 3], flat[:, 1] = 10 * wide, 2 * narrow
    points, share = principal_plane(flat + 7.0)
    assert abs(np.corrcoef(points[:, 0], wide)[0, 1]) > 0.999
    assert abs(np.corrcoef(points[:, 1], narrow)[0, 1]) > 0.99
    assert share.sum() == pytest.approx(1.0)
    assert share[0] > 0.9


def test_principal_plane_is_no_mirror_image() -> None:
    cloud = vectors(60)
    points, _ = principal_plane(cloud)
    for order in (np.arange(59, -1, -1), np.random.default_rng(2).permutation(60)):
        again, _ = principal_plane(cloud[order])
        assert np.allclose(again, points[order], atol=1e-6)
    mirrored, _ = principal_plane(-cloud)
    assert np.allclose(mirrored, -points, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8), (2, 8), (5, 1), (50, 3)])
def test_principal_plane_of_few_or_equal_vectors(shape: tuple[int, int]) -> None:
    points, share = principal_plane(np.ones(shape))
    assert points.shape == (shape[0], 2)
    assert np.allclose(points, 0)
    assert share.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("guide/intro.md", "guide"),
        ("a/b/c.md", "a"),
        ("README.MD", ".md"),
        ("LICENSE", "no extension"),
    ],
)
def test_document_group(path: str, group: str) -> None:
    assert document_group(path) == group


def test_growth_sorts_by_time_and_names_the_last_count() -> None:
    shown = labels(growth("x", {"documents": counts(5)[::-1]}))
    assert "500 documents after 5 materialisations" in shown
    assert "Time (UTC)" in shown


def test_shortened_names_keep_both_ends() -> None:
    assert shorten("minilm") == "minilm"
    assert shorten("x" * 30) == "x" * 30
    short = shorten("begin" + "x" * 50 + "end", 11)
    assert (len(short), short) == (11, "begin…xxend")


def test_counted_nouns() -> None:
    assert [counted(n, "chunk") for n in (0, 1, 4800)] == ["0 chunks", "1 chunk", "4,800 chunks"]
