"""Causal language modelling: low-rank updates of a small decoder, trained on plain text.

Here: what decides the weights, for recipes and worker alike. `blocks.py` cuts texts into blocks,
`decoder.py` loads the base model, `gradients.py` has a step's, `loop.py` is the training.
Not here: which texts are used (platform_assets/language_models), steps and saved states
(resources/training/stepping).
"""

from typing import Annotated

from pydantic import Field, PositiveInt

from resources.training.hyperparameters import Lora, Precision, Stepping


class CausalHyperparameters(Stepping):
    """What decides the weights, given base model and texts."""

    base: Annotated[str, Field(min_length=1)]
    """Name of the base model at the model hub; the adapter's configuration holds it."""
    steps: PositiveInt
    """Optimizer steps."""
    tokens: Annotated[int, Field(ge=16)]
    """Tokens of a block; documents are joined and cut, so that nothing is padded."""
    precision: Precision = "float32"
    """As the base model's weights are unpacked, unless told otherwise."""
    lora: Lora
    held_out_blocks: PositiveInt
    """Blocks of held-out text, at most, on which the loss is measured before and after."""
