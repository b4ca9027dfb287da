"""Encoders on OpenVINO's CPU engine: bf16 where the processor has it, float32 elsewhere.

Here: compiling a checkpoint and streaming texts through it.
Not here: the model's graph (bert.py), which folders are supported (checkpoint.py).
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from resources.encoding import Vectors
from resources.encoding.checkpoint import Checkpoint, read_checkpoint
from resources.encoding.tokenizer import FastTokenizer
from resources.encoding.waves import waves
from resources.settings import VARIABLES, UsageError

Precision = Literal["bf16", "f32"]
Progress = Callable[[int], None]

BACKEND = "openvino-bert-1"
"""Part of every encoder digest; its number grows when the graph computes something else."""

BATCH_TOKENS = 1536
"""Rows enough to keep the matrix units busy, few enough for the activations to stay in cache."""


AHEAD = 2
"""Requests for each stream: one that it computes and one that is ready when it has done so."""


class OpenVinoBackend:
    """Loads BERT checkpoints; the encoders last used stay loaded in the process."""

    def __init__(self, precision: Precision | None = None) -> None:
        """Args: precision: what to compute in; None is the fastest that the processor has."""
        self._asked = precision

    @classmethod
    def of(cls, url: str) -> "OpenVinoBackend":
        """Backend of `openvino://`, `openvino://bf16` or `openvino://f32`.

        Raises:
            UsageError: the URL says anything else.
        """
        precisions: dict[str, Precision | None] = {
            f"openvino://{name}": name or None for name in ("", *get_args(Precision))
        }
        if url not in precisions:
            raise UsageError(f"{VARIABLES['encoding']} may be {', '.join(precisions)}, not {url!r}")
        return cls(precisions[url])

    def digest(self, model_dir: Path) -> str:
        """Encoder digest of a checkpoint folder; reads its files, does not load the model."""
        return read_checkpoint(model_dir).digest(self._precision, BACKEND)

    def load(self, model_dir: Path) -> "OpenVinoEncoder":
        """Compile a checkpoint, or return the encoder already loaded from the same bytes.

        Raises:
            ValueError: the folder is not a supported encoder; the message says why.
        """
        return _load(model_dir.resolve(), self.digest(model_dir), self._precision)

    @cached_property
    def _precision(self) -> Precision:
        fast = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self._asked == "bf16" and not fast:
            raise ValueError("this processor has no bf16 arithmetic: ask for f32")
        return self._asked or ("bf16" if fast else "f32")


class OpenVinoEncoder:
    """A compiled encoder; one inference stream a core."""

    def __init__(self, checkpoint: Checkpoint, compiled: Any, digest: str) -> None:
        self.digest = digest
        self.dimensions = checkpoint.shape.hidden_size
        self.tokenizer = FastTokenizer(checkpoint)
        self._compiled = compiled
        streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._most = AHEAD * streams
        """Requests that wait or run at once."""

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Encode texts, in the order given, `progress` counting those done since its last call.

        Returns:
            float32 array of shape (len(texts), dimensions), rows of L2 norm 1.

        Raises:
            ValueError: a text has more tokens than the encoder takes; nothing is ever cut off.
        """
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        running: deque[tuple[Any, list[int]]] = deque()
        idle: list[Any] = []

        def finish() -> None:
            request, rows = running.popleft()
            request.wait()
            means = request.get_output_tensor(0).data
            vectors[rows] = means / np.linalg.norm(means, axis=1, keepdims=True)
            idle.append(request)
            if progress:
                progress(len(rows))

        # No callbacks: the engine's threads drop them late, and a process that ends then aborts.
        try:
            for rows, ids in self._batches(texts):
                if len(running) == self._most:
                    finish()
                request = idle.pop() if idle else self._compiled.create_infer_request()
                request.start_async({0: ids})
                running.append((request, rows))
            while running:
                finish()
        finally:
            for request, _ in running:
                request.wait()
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.int32]]]:
        """Row numbers and ids of texts that are equally long, so that nothing is padded."""
        for wave in waves(texts, self.tokenizer):
            # The longest first, so that the last to finish are short.
            for length, group in groupby(reversed(wave), key=lambda text: len(text.ids)):
                alike = list(group)
                size = max(1, BATCH_TOKENS // length)
                for part in (alike[i : i + size] for i in range(0, len(alike), size)):
                    yield [text.row for text in part], np.array([text.ids for text in part], "i4")


@lru_cache(maxsize=1)
def _core() -> Any:
    import openvino

    return openvino.Core()


@lru_cache(maxsize=4)
def _load(model_dir: Path, digest: str, precision: Precision) -> OpenVinoEncoder:
    from resources.encoding.bert import build_bert

    checkpoint = read_checkpoint(model_dir)
    settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
    try:
        model = build_bert(checkpoint.weights, checkpoint.shape)
        compiled = _core().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise ValueError(
            f"{checkpoint.weights} does not fit the config.json beside it: {error}"
        ) from error
    return OpenVinoEncoder(checkpoint, compiled, digest)
