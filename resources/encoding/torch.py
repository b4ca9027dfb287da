"""Encoders on torch in bf16, for GPUs: the encoder as it is trained, texts of about one length.

    torch://            on a GPU where there is one
    torch://cpu         never on a GPU
    torch://?gpus=1     as the first; on Kubernetes, what embeds a corpus asks for a GPU

Here: streaming texts through it. Vectors of a GPU and of a processor agree but for rounding, and
share a digest, so that an index built on a GPU is searched from machines without one.
Not here: the encoder itself (resources/training/contrastive), folders (checkpoint.py).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from resources.encoding import Vectors
from resources.encoding.checkpoint import Checkpoint, read_checkpoint
from resources.encoding.tokenizer import FastTokenizer
from resources.encoding.waves import Text, waves
from resources.settings import VARIABLES, UsageError

if TYPE_CHECKING:
    import torch

    from resources.training.contrastive.encoder import TextEncoder

BACKEND = "torch-bert-1"
"""Part of every encoder digest; its number grows when something else is computed."""
PRECISION = "bf16"
GPUS: dict[str, int] = {"torch://": 0, "torch://cpu": 0, "torch://?gpus=1": 1}
"""What a URL may be -> GPUs that a pod which embeds asks for."""
BATCH_TOKENS = {"cuda": 65_536, "cpu": 2_048}
"""Padding included. A GPU wants work enough to hide its launches, a processor its caches."""
AHEAD = 4
"""Batches given to the device before the oldest one's vectors are waited for."""

_Item = TypeVar("_Item")


class TorchBackend:
    """Loads BERT checkpoints; the encoders last used stay loaded in the process."""

    def __init__(self, *, gpu: bool = True) -> None:
        """Args: gpu: whether to use one, where there is one."""
        self._gpu = gpu

    @classmethod
    def of(cls, url: str) -> "TorchBackend":
        """Backend of one of the URLs above.

        Raises:
            UsageError: it is none of them.
        """
        if url not in GPUS:
            raise UsageError(f"{VARIABLES['encoding']} may be {', '.join(GPUS)}, not {url!r}")
        return cls(gpu=url != "torch://cpu")

    def digest(self, model_dir: Path) -> str:
        """Encoder digest of a checkpoint folder; the device has no part in it."""
        return read_checkpoint(model_dir).digest(PRECISION, BACKEND)

    def load(self, model_dir: Path) -> "TorchEncoder":
        """Put a checkpoint on the device, or return the encoder already there.

        Raises:
            ValueError: the folder is not a supported encoder; the message says why.
        """
        import torch

        device = "cuda" if self._gpu and torch.cuda.is_available() else "cpu"
        return _load(model_dir.resolve(), self.digest(model_dir), device)


class TorchEncoder:
    """An encoder on a device."""

    def __init__(
        self, checkpoint: Checkpoint, model: "TextEncoder", device: str, digest: str
    ) -> None:
        self.digest = digest
        self.dimensions = checkpoint.shape.hidden_size
        self.tokenizer = FastTokenizer(checkpoint)
        self._model, self._batch_tokens = model, BATCH_TOKENS[device]

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> Vectors:
        """Encode texts, in the order given, `progress` counting those done since its last call.

        Returns:
            float32 array of shape (len(texts), dimensions), rows of L2 norm 1.

        Raises:
            ValueError: a text has more tokens than the encoder takes; nothing is ever cut off.
        """
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        under_way: deque[tuple[Sequence[Text], Callable[[], Vectors]]] = deque()

        def store() -> None:
            batch, found = under_way.popleft()
            vectors[[text.row for text in batch]] = found()
            if progress:
                progress(len(batch))

        for batch in self._batches(texts):
            under_way.append((batch, self._begun(batch)))
            if len(under_way) > AHEAD:
                store()
        while under_way:
            store()
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[Sequence[Text]]:
        from resources.training.contrastive.batches import passes

        for wave in _ahead(waves(texts, self.tokenizer)):
            lengths = [len(text.ids) for text in wave]
            for part in passes(lengths, len(wave), self._batch_tokens):
                yield wave[part]

    def _begun(self, batch: Sequence[Text]) -> Callable[[], Vectors]:
        """Start a batch; what is returned waits for its vectors, and for nothing after them."""
        import torch

        with torch.inference_mode():
            found = self._model([text.ids for text in batch])
            if found.device.type == "cpu":
                return lambda: _plain(found)
            here = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
            here.copy_(found, non_blocking=True)
            copied: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()

        def wait() -> Vectors:
            copied.synchronize()
            return _plain(here)

        return wait


def _plain(vectors: "torch.Tensor") -> Vectors:
    plain: Vectors = vectors.numpy()
    return plain


def _ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The items, each made ready while the one before it is used."""
    source = iter(items)
    with ThreadPoolExecutor(1, "tokens") as thread:
        coming = thread.submit(next, source, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield item


@lru_cache(maxsize=4)
def _load(model_dir: Path, digest: str, device: str) -> TorchEncoder:
    import torch

    from resources.training.contrastive.encoder import TextEncoder

    model: Any = TextEncoder(model_dir).eval().to(device, torch.bfloat16)
    return TorchEncoder(read_checkpoint(model_dir), model, device, digest)
