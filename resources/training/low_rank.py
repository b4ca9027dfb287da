"""Low-rank updates (LoRA) of a model's layers, by peft.

Here: putting them on. Not here: what they say (hyperparameters.py), what becomes of them.
"""

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
        ValueError: no layer's name ends as the recipe says.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.layers),
        task_type=task,
    )
    return get_peft_model(model, config)
