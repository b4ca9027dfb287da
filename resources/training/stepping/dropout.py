"""Dropout on a processor at the price of a multiplication.

Here: what takes the place of torch's own dropout, wherever a model calls it.
Not here: which share is dropped (the model's configuration, or the recipe).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_LEVELS = 1 << 16
"""Values of the sixteen random bits that decide over a number."""


def quick_dropout(device: torch.device) -> AbstractContextManager[object]:
    """Within, dropout on a processor takes sixteen random bits a number.

    torch draws 64 bits for each, which took a sixth of a training's time. The share dropped is off
    by a hundred-thousandth at most, and what stays is scaled accordingly (Srivastava et al. 2014).
    Random numbers come from torch's generator as before. A GPU has its own way, which is left
    alone.
    """
    return _QuickDropout() if device.type == "cpu" else nullcontext()


class _QuickDropout(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _INSTEAD.get(func, func)(*args, **(kwargs or {}))


def _dropout(
    numbers: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> torch.Tensor:
    dropped = round(p * _LEVELS)
    if not training or not 0 < dropped < _LEVELS or inplace:
        return functional.dropout(numbers, p, training, inplace)
    words = torch.empty(-(-numbers.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    levels = words.view(torch.int16)[: numbers.numel()].view(numbers.shape)
    kept = torch.where(levels >= dropped - _LEVELS // 2, numbers, 0.0)
    return kept * (_LEVELS / (_LEVELS - dropped))


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Attention as torch computes it where weights are dropped: it has no fused kernel for that."""
    if not dropout_p or is_causal or enable_gqa:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scores = query * (scale or query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    weights = _dropout(scores.softmax(-1, dtype=torch.float32), dropout_p)
    return weights.to(value.dtype) @ value


_INSTEAD: Mapping[Callable[..., Any], Callable[..., Any]] = {
    functional.dropout: _dropout,
    functional.scaled_dot_product_attention: _attention,
}
