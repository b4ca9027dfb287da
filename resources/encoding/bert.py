"""BERT as an OpenVINO graph, built straight from safetensors.

Building it here, rather than converting a torch module, keeps torch and transformers out of every
process that only encodes: seconds of import at each start.
Here: the graph. Not here: compiling and running it (openvino.py).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resources.encoding.checkpoint import BertShape

if TYPE_CHECKING:
    from openvino import Model


def build_bert(weights: Path, shape: BertShape) -> "Model":
    """BERT with mean pooling (Devlin et al. 2018, arXiv:1810.04805; Hugging Face's tensor names).

    Input: token ids, int32 of shape (texts, tokens). Output: the mean of the last layer's token
    states, float32 of shape (texts, hidden_size). There is no mask: texts of one batch are equally
    long, so no padding ever enters the mean or the attention.

    Raises:
        ValueError: a tensor is missing or of a type that numpy lacks.
    """
    from openvino import Model
    from openvino import opset13 as ops
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as tensors:
        ids = ops.parameter([-1, -1], np.int32, name="ids")
        graph = _Bert(tensors, shape)
        states = graph.embed(ids)
        for layer in range(shape.num_hidden_layers):
            states = graph.layer(states, f"encoder.layer.{layer}")
        return Model([ops.reduce_mean(states, _ints(1))], [ids], "bert")


class _Bert:
    """Nodes of the graph; states are of shape (texts, tokens, hidden_size)."""

    def __init__(self, tensors: Any, shape: BertShape) -> None:
        from openvino import opset13

        self._ops = opset13
        self._tensors = tensors
        self._shape = shape

    def embed(self, ids: Any) -> Any:
        """Sum of word, position and (only) token type embedding, normalised."""
        ops = self._ops
        places = self._tensor("embeddings.position_embeddings.weight")
        places = places + self._tensor("embeddings.token_type_embeddings.weight")[0]
        length = ops.gather(ops.shape_of(ids, "i32"), _ints(1), _ints(0))
        places = ops.slice(ops.constant(places[None]), _ints(0), length, _ints(1), _ints(1))
        words = ops.constant(self._tensor("embeddings.word_embeddings.weight"))
        words = ops.gather(words, ids, ops.constant(np.int32(0)))
        return self._norm(ops.add(words, places), "embeddings.LayerNorm")

    def layer(self, states: Any, name: str) -> Any:
        """Attention and feed-forward, each with residual and norm."""
        ops = self._ops
        attended = self._attention(states, f"{name}.attention.self")
        attended = self._linear(attended, f"{name}.attention.output.dense")
        states = self._norm(ops.add(attended, states), f"{name}.attention.output.LayerNorm")
        inner = ops.gelu(self._linear(states, f"{name}.intermediate.dense"), "ERF")
        outer = self._linear(inner, f"{name}.output.dense")
        return self._norm(ops.add(outer, states), f"{name}.output.LayerNorm")

    def _attention(self, states: Any, name: str) -> Any:
        ops = self._ops
        heads = self._shape.num_attention_heads
        split = _ints(0, 0, heads, self._shape.hidden_size // heads)
        swap = _ints(0, 2, 1, 3)
        query, key, value = (
            ops.transpose(
                ops.reshape(self._linear(states, f"{name}.{part}"), split, special_zero=True), swap
            )
            for part in ("query", "key", "value")
        )
        mixed = ops.transpose(ops.scaled_dot_product_attention(query, key, value), swap)
        return ops.reshape(mixed, _ints(0, 0, self._shape.hidden_size), special_zero=True)

    def _linear(self, states: Any, name: str) -> Any:
        ops = self._ops
        weight = ops.constant(self._tensor(f"{name}.weight"))
        product = ops.matmul(states, weight, transpose_a=False, transpose_b=True)
        return ops.add(product, ops.constant(self._tensor(f"{name}.bias")[None, None]))

    def _norm(self, states: Any, name: str) -> Any:
        ops = self._ops
        eps = self._shape.layer_norm_eps
        states = ops.mvn(states, _ints(2), normalize_variance=True, eps=eps, eps_mode="inside_sqrt")
        gain, shift = (self._tensor(f"{name}.{part}")[None, None] for part in ("weight", "bias"))
        return ops.add(ops.multiply(states, ops.constant(gain)), ops.constant(shift))

    def _tensor(self, name: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
        from safetensors import SafetensorError

        try:
            tensor = self._tensors.get_tensor(name)
        except (SafetensorError, TypeError) as error:
            raise ValueError(f"model.safetensors: cannot read {name}: {error}") from error
        return np.ascontiguousarray(tensor, dtype=np.float32)


def _ints(*values: int) -> Any:
    from openvino import opset13

    return opset13.constant(np.array(values, np.int32))
