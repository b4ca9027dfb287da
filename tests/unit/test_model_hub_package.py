import sys
from dataclasses import replace
from pathlib import Path

import pytest

from resources.encoding.checkpoint import sha256_file
from resources.model_hub import Origin
from resources.model_hub.package import MODELS, PackagedModel, PackageHub

MINILM = "all-MiniLM-L6-v2"


def test_installed_model_is_verified_and_complete() -> None:
    folder = PackageHub().fetch(MINILM)
    assert sha256_file(folder / "model.safetensors").startswith("53aa5117")
    assert {"tokenizer.json", "modules.json"} <= {path.name for path in folder.iterdir()}


def test_unknown_model_names_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"'bert'.*all-MiniLM-L6-v2"):
        PackageHub().fetch("bert")


def test_missing_package_is_named() -> None:
    absent = replace(MODELS[MINILM], module="no_such_module", distribution="no-such-package")
    with pytest.raises(LookupError, match="no-such-package is not installed"):
        PackageHub({MINILM: absent}).fetch(MINILM)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    (tmp_path / "carries_a_model/model").mkdir(parents=True)
    (tmp_path / "carries_a_model/__init__.py").touch()
    weights = tmp_path / "carries_a_model/model/model.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    pins = {"model.safetensors": sha256_file(weights)}
    return PackagedModel("carries-a-model", "carries_a_model", "model", Origin("a/b", "mit"), pins)


def test_altered_or_missing_file_is_refused(packaged: PackagedModel) -> None:
    hub = PackageHub({"m": packaged})
    weights = hub.fetch("m") / "model.safetensors"
    weights.write_bytes(b"altered")
    with pytest.raises(ValueError, match="not the file that was pinned"):
        hub.fetch("m")
    weights.unlink()
    with pytest.raises(ValueError, match="sha256 missing"):
        hub.fetch("m")


def test_pickle_beside_the_model_is_refused(packaged: PackagedModel) -> None:
    hub = PackageHub({"m": packaged})
    (hub.fetch("m") / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="pickle"):
        hub.fetch("m")
