"""A classifier of documents as an asset: trained, measured, kept and checked, on each engine."""

from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from platform_assets.classifiers.network import Classifier, name_classes
from platform_assets.provenance import Record
from resources.classifiers import ClassifierJob, ClassifierResult, Hyperparameters
from resources.classifiers.network import build, named
from resources.registry import connect_classifier
from resources.settings import Settings
from tests.spies import Platform

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENGINES = ("tensorflow", "horovod")
TOPICS = {
    "astronomy": ("the orbit of a planet", "a telescope and its mirror", "stars of the galaxy"),
    "baking": ("dough that rises overnight", "an oven for bread", "flour, butter and yeast"),
    "sailing": ("a mast and its rigging", "wind and tide in the harbour", "the keel of a boat"),
}
PARTITION = "notes|minilm"


def planted(platform: Platform, folders: tuple[str, ...] = tuple(TOPICS)) -> None:
    """Twelve notes of each topic, put into folders in turn."""
    for place, (topic, phrases) in enumerate(TOPICS.items()):
        for number in range(12):
            folder = folders[(place if folders == tuple(TOPICS) else number) % len(folders)]
            text = f"# Note {number}\n\nThis is about {phrases[number % 3]}, remark {number}.\n"
            platform.write("notes", f"{folder}/{topic}-{number}.md", text)


def record_of(platform: Platform) -> Record:
    return platform.state.ledger.require("document_classes", PARTITION)


def test_it_learns_what_tells_folders_apart_and_only_once(platform: Platform) -> None:
    planted(platform)
    platform.materialize("notes", select="+key:embeddings")
    rows = platform.materialize("notes", select="key:embeddings+ and not key:vector_index+")
    assert set(rows) == {("embeddings", PARTITION)}  # it is made when it is asked for
    rows = platform.materialize("notes", select="key:document_classes")
    row = rows["document_classes", PARTITION]
    assert (row["rows"], row["added"], row["warnings"]) == (36, 36, [])
    assert row["work"]["trained_steps"]
    assert platform.calls.encoded == []
    record = record_of(platform)
    details = record.details
    assert set(record.upstream) == {"documents/notes", f"embeddings/{PARTITION}"}
    assert int(details["trained_on"]) + int(details["tested_on"]) == 36
    assert float(details["macro_f1"]) > 0.9 > float(details["majority_f1"])
    assert float(details["gain_low"]) > 0
    assert details["engine"].startswith("keras 3")
    rows = platform.materialize("notes", select="key:document_classes")
    assert rows["document_classes", PARTITION]["work"]["trained_steps"] == 0
    assert record_of(platform) == record
    assert not list((platform.state.settings.cache / "classifiers").iterdir())
    lake = platform.state.lake
    weights = f"_lakeloom/checkpoints/{details['checkpoint']}/weights.safetensors"
    lake.put(weights, b"x" + lake.get(weights)[1:])
    (row,) = platform.answer("notes", select="key:document_classes")["assets"]
    assert "weights_are_as_stored" in row["failed"]
    platform.write("notes", "sailing/new.md", "# Note\n\nAn anchor on its chain.\n")
    rows = platform.materialize("notes", select="+key:document_classes")
    assert rows["document_classes", PARTITION]["changed"] == 37
    assert record_of(platform).upstream != record.upstream


def test_folders_that_say_nothing_of_the_text_give_a_warning(platform: Platform) -> None:
    planted(platform, ("left", "right"))
    rows = platform.materialize("notes", select="+key:document_classes")
    (warning,) = rows["document_classes", PARTITION]["warnings"]
    assert "better_than_the_majority" in warning


def test_without_folders_of_two_kinds_it_says_what_is_wanting(platform: Platform) -> None:
    planted(platform, ("all",))
    rows = platform.answer("notes", select="+key:document_classes")["assets"]
    assert "put documents into first-level folders" in rows[-1]["failed"]


def test_without_keras_it_says_what_brings_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(platform)
    monkeypatch.setattr("resources.settings.find_spec", lambda _: None)
    rows = platform.answer("notes", select="+key:document_classes")["assets"]
    assert ".[keras]" in rows[-1]["failed"]


def job_in(folder: Path) -> tuple[ClassifierJob, np.ndarray, np.ndarray]:
    """A job on four clouds of points that overlap a little, and other points of the same clouds."""
    dice = np.random.default_rng(7)
    centres = dice.normal(size=(4, 32))
    labels = dice.integers(4, size=400).astype(np.int32)
    features = (centres[labels] + dice.normal(size=(400, 32))).astype(np.float32)
    folder.mkdir()
    np.savez(folder / "data.npz", features=features[:201], labels=labels[:201])
    settings = Hyperparameters(epochs=15, dropout=0.0)
    job = ClassifierJob(str(folder / "data.npz"), str(folder / "made"), 4, settings)
    return job, features[201:], labels[201:]


def trained(url: str, folder: Path) -> tuple[ClassifierResult, float]:
    """What an engine reports, and its accuracy on points it has not seen."""
    job, features, labels = job_in(folder)
    env = {"LAKELOOM_HOME": str(folder), "LAKELOOM_CLASSIFIER": url}
    result = connect_classifier(Settings.from_env(env)).train(job, folder)
    name_classes(Path(job.output), ["0", "1", "2", "3"])
    answers = Classifier.load(Path(job.output)).classify(features)
    return result, float((np.array(answers) == labels.astype(str)).mean())


def test_what_is_read_from_weights_is_what_keras_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras
    from safetensors.numpy import save_file

    model = build(keras, 5, 3, Hyperparameters())
    save_file(named(model.get_weights()), tmp_path / "weights.safetensors")
    name_classes(tmp_path, ["a", "b", "c"])
    features = np.random.default_rng(7).normal(size=(50, 5)).astype(np.float32)
    said = np.array(["a", "b", "c"])[model.predict(features, verbose=0).argmax(axis=1)]
    assert Classifier.load(tmp_path).classify(features) == said.tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_train_as_one_does(engine: str, tmp_path: Path) -> None:
    """The loss of each epoch but the first is within a tenth of the first loss."""
    environment = ROOT / f".venv-{engine}"
    if not (environment / ".made").exists():
        pytest.skip(f"`make test-engines-{engine}` sets it up")
    one, accuracy = trained("keras://", tmp_path / "one")
    two, shared_accuracy = trained(f"{engine}://{environment}?workers=2", tmp_path / "two")
    assert (one.workers, two.workers) == (1, 2)
    assert engine in two.engine
    assert np.allclose(one.losses[1:], two.losses[1:], rtol=0, atol=one.losses[0] / 10)
    assert min(accuracy, shared_accuracy) > 0.9
    assert abs(accuracy - shared_accuracy) < 0.05


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_fails_shows_its_last_words(engine: str, tmp_path: Path) -> None:
    environment = ROOT / f".venv-{engine}"
    if not (environment / ".made").exists():
        pytest.skip(f"`make test-engines-{engine}` sets it up")
    url = f"{engine}://{environment}?workers=2"
    trainer = connect_classifier(Settings.from_env({"LAKELOOM_CLASSIFIER": url}))
    with pytest.raises(dg.Failure, match=r"none\.npz"):
        trainer.train(ClassifierJob(str(tmp_path / "none.npz"), str(tmp_path / "out"), 2), tmp_path)
