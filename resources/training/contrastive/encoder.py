"""The encoder as it is trained: transformer, pooling, L2 norm.

Here: loading a base model for training, its forward pass, its weights.
Not here: encoding for the index (resources/encoding), folders (resources/training/folders.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from resources.training.folders import pooling, transformer_folder
from resources.training.hyperparameters import Lora
from resources.training.low_rank import with_updates

_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
"""Names in the configuration of BERT and its relatives."""


class TextEncoder(torch.nn.Module):
    """Texts as token ids in, vectors out."""

    def __init__(self, model: Path, dropout: float | None = None, lora: Lora | None = None) -> None:
        """Load a folder in sentence-transformers layout.

        Raises:
            ValueError: its weights do not fit its configuration, or no layer is called as
                `lora.layers` says.
        """
        super().__init__()
        folder = transformer_folder(model)
        config = AutoConfig.from_pretrained(folder)
        if dropout is not None:
            for name in _DROPOUTS:
                setattr(config, name, dropout)
        self._pooling = pooling(model)
        self._padding = int(config.pad_token_id or 0)
        backbone = _loaded(folder, config)
        if getattr(backbone, "pooler", None) is not None:
            backbone.pooler.requires_grad_(False)  # takes no part in the embedding
        self.backbone: Any = with_updates(backbone, lora) if lora else backbone

    def forward(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Vectors of texts of about one length.

        Args:
            texts: Token ids of each, special tokens included.

        Returns:
            float32 tensor of shape (len(texts), dimensions), rows of L2 norm 1.
        """
        ids, mask = _padded(texts, self._padding)
        device = self.backbone.device
        if device.type == "cuda":  # a copy from pageable memory would wait for all before it
            ids, mask = ids.pin_memory(), mask.pin_memory()
        ids, mask = (each.to(device, non_blocking=True) for each in (ids, mask))
        hidden = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self._pooling == "cls":
            return functional.normalize(hidden[:, 0], dim=-1)
        weights = mask.unsqueeze(-1).float()
        return functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


def _loaded(folder: Path, config: Any) -> Any:
    """The transformer in float32; one with weights made up would be no error of transformers'."""
    try:
        backbone, found = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, output_loading_info=True
        )
    except RuntimeError as error:
        raise ValueError(
            f"{folder} has weights that do not fit its config.json: {error}"
        ) from error
    if lost := sorted(name for name in found["missing_keys"] if not name.startswith("pooler.")):
        raise ValueError(f"{folder}/model.safetensors: cannot read {', '.join(lost)}")
    return backbone


def plain_weights(encoder: TextEncoder) -> dict[str, torch.Tensor]:
    """The transformer's weights in float32 under Hugging Face's names, updates added in."""
    backbone = encoder.backbone
    if hasattr(backbone, "merge_and_unload"):
        backbone = backbone.merge_and_unload()
    state = backbone.state_dict()
    return {name: value.detach().float().cpu().contiguous() for name, value in state.items()}


def _padded(texts: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each of shape (len(texts), longest)."""
    rows = [torch.tensor(text, dtype=torch.long) for text in texts]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
    lengths = torch.tensor([len(text) for text in texts])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return ids, mask
