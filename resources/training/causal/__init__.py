"""Causal language modelling: low-rank updates of a small decoder, trained on plain text.

Here: what decides the weights, for recipes and worker alike. `blocks.py` cuts texts into blocks,
`decoder.py` loads the base model, `loop.py` is the training.
Not here: which texts are used (platform_assets/language_models).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from resources.training.hyperparameters import Lora, Share


class CausalHyperparameters(BaseModel):
    """What decides the weights, given base model and texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    base: Annotated[str, Field(min_length=1)]
    """Name of the base model at the model hub; the adapter's configuration holds it."""
    steps: PositiveInt
    """Optimizer steps."""
    batch_size: PositiveInt
    """Blocks a step, over all processes."""
    tokens: Annotated[int, Field(ge=16)]
    """Tokens of a block; documents are joined and cut, so that nothing is padded."""
    learning_rate: PositiveFloat
    """Peak of AdamW's learning rate, after a linear warmup and before a linear decay to 0."""
    warmup_ratio: Share
    """Share of the steps that the warmup takes."""
    lora: Lora
    held_out_blocks: PositiveInt
    """Blocks of held-out text, at most, on which the loss is measured before and after."""
    seed: Annotated[int, Field(ge=0)]
