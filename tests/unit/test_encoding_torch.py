"""Encoders on torch: what the other engine promises, with batches that are filled up."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from resources.encoding import waves
from resources.encoding.openvino import OpenVinoBackend
from resources.encoding.torch import TorchBackend
from resources.settings import UsageError
from tests.checkpoints import (
    HIDDEN,
    MAX_TOKENS,
    sentences,
    weights,
    write_checkpoint,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


def test_importing_the_module_imports_no_engine() -> None:
    code = "import sys, resources.encoding.torch; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_are_unit_vectors_in_the_order_given_whatever_the_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, texts = TorchBackend(gpu=False).load(folder), sentences(60)
    reference = OpenVinoBackend("f32").load(folder).encode(texts)
    monkeypatch.setattr(waves, "WAVE_TEXTS", 7)
    monkeypatch.setattr(encoder, "_batch_tokens", 30)
    found = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found * reference).sum(axis=1).min() > 0.99
    assert encoder.encode([]).shape == (0, HIDDEN)


def test_progress_counts_every_text_in_the_callers_thread(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    encoder = TorchBackend().load(folder)
    encoder.encode(sentences(60), lambda count: seen.append((count, threading.get_ident())))
    assert sum(count for count, _ in seen) == 60
    assert {thread for _, thread in seen} == {threading.get_ident()}


def test_too_long_text_is_named_and_never_cut(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TorchBackend().load(folder)
    longest = "the " * (MAX_TOKENS - 2)
    assert encoder.encode([longest]).shape == (1, HIDDEN)
    monkeypatch.setattr(waves, "WAVE_TEXTS", 2)
    with pytest.raises(ValueError, match=rf"text 3 has {MAX_TOKENS + 1} tokens .* {MAX_TOKENS}"):
        encoder.encode(["the", "the", "the", longest + " the"])


def test_the_digest_tells_engines_apart_and_devices_not(folder: Path) -> None:
    digest = TorchBackend(gpu=False).digest(folder)
    assert TorchBackend.of("torch://?gpus=1").digest(folder) == digest
    assert OpenVinoBackend().digest(folder) != digest
    assert TorchBackend(gpu=False).load(folder) is TorchBackend(gpu=False).load(folder)
    tensors = weights()
    tensors["embeddings.word_embeddings.weight"] *= -1
    save_file(tensors, folder / "model.safetensors")
    assert TorchBackend(gpu=False).load(folder).digest != digest


def test_missing_tensor_is_named_and_not_made_up(folder: Path) -> None:
    tensors = weights()
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        TorchBackend(gpu=False).load(folder)


def test_weights_that_do_not_fit_the_shape_are_refused(folder: Path) -> None:
    wide = np.zeros((HIDDEN, 2 * HIDDEN), np.float32)
    changed = weights() | {"encoder.layer.0.attention.self.query.weight": wide}
    save_file(changed, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"do not fit its config\.json"):
        TorchBackend(gpu=False).load(folder)


@pytest.mark.parametrize("url", ["torch://gpu", "torch:///cpu", "torch://cpu?threads=2", "torch:"])
def test_a_wrong_url_names_the_variable_and_what_it_may_be(url: str) -> None:
    with pytest.raises(UsageError, match=r"LAKELOOM_ENCODING may be torch://, torch://cpu,"):
        TorchBackend.of(url)


def test_progress_that_raises_leaves_no_thread(folder: Path) -> None:
    def stop(_: int) -> None:
        raise KeyError("stop")

    before = threading.active_count()
    with pytest.raises(KeyError):
        TorchBackend().load(folder).encode(sentences(60), stop)
    assert threading.active_count() == before
