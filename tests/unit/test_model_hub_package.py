import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resources.encoding.checkpoint import sha256_file
from resources.model_hub import ModelCard, Origin
from resources.model_hub.package import MODELS, PackagedModel, PackageHub
from resources.settings import UsageError

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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"x"), "may be a pickle"),
        (lambda folder: (folder / "modeling.py").touch(), "or a program"),
        (lambda folder: (folder / "vocab.txt").symlink_to("/etc/hostname"), "a link that leads"),
        (lambda folder: (folder / "config.json").write_text('{"auto_map": 1}'), "by auto_map"),
    ],
)
def test_what_could_run_code_beside_the_model_is_refused(
    packaged: PackagedModel, change: Callable[[Path], None], message: str
) -> None:
    hub = PackageHub({"m": packaged})
    change(hub.fetch("m"))
    with pytest.raises(ValueError, match=message):
        hub.fetch("m")


def test_packages_take_no_models(tmp_path: Path) -> None:
    card = ModelCard("a/b", "mit", (), "")
    with pytest.raises(UsageError, match="set LAKELOOM_HUB=huggingface://"):
        PackageHub().publish(tmp_path, "mine", lambda _: card, private=True)
