"""Low-rank updates (LoRA) of a model's layers, by peft.

Here: putting them on. Not here: what they say (hyperparameters.py), what becomes of them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resources.training.hyperparameters import Lora

if TYPE_CHECKING:
    import torch


def with_updates(model: "torch.nn.Module", lora: Lora, task: str | None = None) -> Any:
    """The model with low-rank updates, which alone are trained and begin as nothing.

    Args:
        model: A transformers model.
        lora: Rank, weight and layers.
        task: peft's name of what the model is for, where it must forward more than hidden states.

    Raises:
        ValueError: no layer's name ends as one of the recipe's says; names those there are.
    """
    from peft import LoraConfig, get_peft_model

    _check_layers(model, lora.layers)

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.layers),
        task_type=task,
    )
    return get_peft_model(model, config)


def _check_layers(model: "torch.nn.Module", layers: Sequence[str]) -> None:
    """Peft leaves out a name that fits nothing, as long as another fits."""
    from torch.nn import Linear

    names = [f".{name}" for name, _ in model.named_modules()]
    for layer in layers:
        if not any(name.endswith(f".{layer}") for name in names):
            found = {
                n.rsplit(".", 1)[-1] for n, m in model.named_modules() if isinstance(m, Linear)
            }
            raise ValueError(
                f"lora.layers: no layer's name ends in {layer!r}; this model has "
                f"{', '.join(sorted(found))}"
            )
