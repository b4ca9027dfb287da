import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from resources.encoding import openvino, waves
from resources.encoding.openvino import OpenVinoBackend, OpenVinoEncoder
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


@pytest.fixture
def encoder(folder: Path) -> OpenVinoEncoder:
    return OpenVinoBackend("f32").load(folder)


def test_importing_the_module_imports_no_engine() -> None:
    code = "import sys, resources.encoding.openvino; sys.exit('openvino' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_text_gives_no_rows(encoder: OpenVinoEncoder) -> None:
    assert encoder.encode([]).shape == (0, HIDDEN)


def test_rows_are_unit_vectors_in_the_order_given_whatever_the_batch(
    encoder: OpenVinoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = sentences(60)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert np.allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)
    assert len(np.unique(alone.round(3), axis=0)) > 50
    assert np.allclose(encoder.encode(texts), alone, atol=1e-5)
    monkeypatch.setattr(waves, "WAVE_TEXTS", 7)
    monkeypatch.setattr(openvino, "BATCH_TOKENS", 30)
    assert np.allclose(encoder.encode(texts), alone, atol=1e-5)


def test_progress_counts_every_text_in_the_callers_thread(encoder: OpenVinoEncoder) -> None:
    seen: list[tuple[int, int]] = []
    encoder.encode(sentences(60), lambda count: seen.append((count, threading.get_ident())))
    assert sum(count for count, _ in seen) == 60
    assert {thread for _, thread in seen} == {threading.get_ident()}


ENCODES_AND_ENDS = """
import os, sys
from pathlib import Path
from resources.encoding.openvino import OpenVinoBackend

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
OpenVinoBackend("f32").load(Path(sys.argv[1])).encode(["one two"])
"""


def test_a_process_that_ends_after_encoding_ends_well(folder: Path) -> None:
    """On one core, where the engine's threads are still busy when the interpreter goes."""
    ends = [
        subprocess.run([sys.executable, "-c", ENCODES_AND_ENDS, str(folder)], check=False)
        for _ in range(5)
    ]
    assert [end.returncode for end in ends] == [0] * 5


def test_too_long_text_is_named_and_never_cut(
    encoder: OpenVinoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = "the " * (MAX_TOKENS - 2)
    assert encoder.encode([longest]).shape == (1, HIDDEN)
    monkeypatch.setattr(waves, "WAVE_TEXTS", 2)
    with pytest.raises(ValueError, match=rf"text 3 has {MAX_TOKENS + 1} tokens .* {MAX_TOKENS}"):
        encoder.encode(["the", "the", "the", longest + " the"])


def test_same_bytes_are_loaded_once_and_new_bytes_anew(folder: Path) -> None:
    first = OpenVinoBackend("f32").load(folder)
    assert OpenVinoBackend("f32").load(folder) is first
    assert first.digest == OpenVinoBackend("f32").digest(folder)
    tensors = weights()
    tensors["embeddings.word_embeddings.weight"] *= -1
    save_file(tensors, folder / "model.safetensors")
    second = OpenVinoBackend("f32").load(folder)
    assert second.digest != first.digest
    assert not np.allclose(second.encode(["fox"]), first.encode(["fox"]), atol=1e-2)


def test_unasked_precision_is_the_one_the_engine_uses(folder: Path) -> None:
    from openvino import Core

    fast = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    encoder = OpenVinoBackend().load(folder)
    assert encoder.digest == OpenVinoBackend("bf16" if fast else "f32").digest(folder)
    used = encoder._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    assert used == ("bf16" if fast else "f32")


def test_missing_tensor_is_named(folder: Path) -> None:
    tensors = weights()
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        OpenVinoBackend("f32").load(folder)


def test_weights_that_do_not_fit_the_shape_are_refused(folder: Path) -> None:
    wide = np.zeros((HIDDEN, 2 * HIDDEN), np.float32)
    changed = weights() | {"encoder.layer.0.attention.self.query.weight": wide}
    save_file(changed, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"does not fit the config\.json"):
        OpenVinoBackend("f32").load(folder)


@pytest.mark.parametrize("url", ["openvino://cuda", "openvino://f32?x=1", "openvino:///bf16"])
def test_a_wrong_url_names_the_variable_and_what_it_may_be(url: str) -> None:
    with pytest.raises(UsageError, match=r"LAKELOOM_ENCODING may be openvino://, openvino://bf16"):
        OpenVinoBackend.of(url)


def test_a_url_pins_the_precision(folder: Path) -> None:
    assert OpenVinoBackend.of("openvino://f32").digest(folder) == OpenVinoBackend("f32").digest(
        folder
    )
