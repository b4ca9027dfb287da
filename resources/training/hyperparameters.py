"""Hyperparameters of trainings: what a recipe says and a worker does.

Here: names, bounds and meanings of those that all trainings have and of an encoder's, in one place
for both sides. Not here: a decoder's own (causal/), which pairs are used
(platform_assets/checkpoints/recipes.py), where it runs (engines).
"""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Share = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["auto", "bf16", "float32"]


class Lora(BaseModel):
    """Train low-rank updates of some layers and nothing else (Hu et al. 2021, arXiv:2106.09685).

    They are added to the weights at the end, so the checkpoint is an ordinary one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    rank: PositiveInt
    alpha: PositiveFloat
    """The update counts `alpha / rank` times."""
    dropout: Share = 0.0
    layers: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = ("query", "value")
    """Ends of the names of the layers that get an update."""


class Stepping(BaseModel):
    """How the weights of a model are moved, whatever it learns."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    batch_size: PositiveInt
    """Pairs, or blocks of text, a step, over all processes."""
    micro_batch: PositiveInt | None = None
    """Texts, or blocks, a process holds the activations of; None: those of a whole step.

    Less memory, the same step: gradients add up. Halved where memory runs out.
    """
    learning_rate: PositiveFloat
    """Peak of AdamW's learning rate, after a linear warmup."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate goes on after the warmup: down to 0, or not."""
    warmup_ratio: Share
    """Share of the steps that the warmup takes."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    precision: Precision = "auto"
    """`auto`: bf16 where the chip computes in it."""
    seed: Annotated[int, Field(ge=0)]
    save_steps: PositiveInt
    """Steps between saved states: what a crash can cost."""


class Hyperparameters(Stepping):
    """What decides an encoder's weights, given base model and pairs.

    Each pair of a batch is a negative for the others; with a `micro_batch`, texts are encoded twice
    (Gao et al. 2021, arXiv:2101.06983) and the step's negatives stay what they are.
    """

    epochs: PositiveFloat | None = None
    steps: PositiveInt | None = None
    """Optimizer steps; with `epochs` given too, whichever ends first."""
    loss: Literal["ranking", "symmetric"] = "ranking"
    """`ranking`: query to passages; `symmetric`: passage to queries as well."""
    scale: PositiveFloat
    """Factor on the cosines, the inverse of the softmax's temperature."""
    dimensions: Annotated[tuple[PositiveInt, ...], Field(strict=False)] = ()
    """Prefixes of the vectors that are to serve as vectors too (Kusupati et al. 2022)."""
    dropout: Share | None = None
    """None: as the base model says."""
    lora: Lora | None = None
    """None: all weights are trained."""
    max_tokens: Annotated[int, Field(ge=8)]
    """Texts are cut to this many tokens in training (never in encoding)."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.epochs is None and self.steps is None:
            raise ValueError("give epochs, steps, or both")
        return self

    def total(self, pairs: int) -> int:
        """Optimizer steps of the whole training; with both limits, the smaller."""
        size = min(self.batch_size, pairs)
        by_epochs = math.inf if self.epochs is None else math.ceil(self.epochs * pairs / size)
        return int(min(by_epochs, self.steps or math.inf))
