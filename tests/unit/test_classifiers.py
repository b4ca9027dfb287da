"""What a classifier learns from, and how good it is said to be."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from platform_assets.classifiers.dataset import Documents, documents, label_of
from platform_assets.classifiers.measures import macro_f1, measure
from platform_assets.classifiers.refresh import NothingToLearnError, refresh
from platform_assets.queries import split_of
from resources.classifiers import ClassifierJob, Hyperparameters
from resources.classifiers.network import class_weights
from resources.registry import connect_classifier
from resources.settings import Settings, UsageError


def test_workers_import_nothing_that_other_environments_lack() -> None:
    code = (
        "import sys; import resources.classifiers.worker; "
        "print(sorted({'dagster', 'pydantic', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


def test_the_first_folder_is_the_class_or_else_the_type() -> None:
    assert label_of("letters/2024/a.md", "text/markdown") == "letters"
    assert label_of("a.md", "text/markdown") == "text/markdown"


def test_a_documents_features_are_the_mean_of_its_chunks_vectors() -> None:
    listed = pa.table(
        {
            "doc_id": ["b", "a", "c"],
            "key": ["x/b", "y/a", "x/c"],
            "media_type": ["text/plain"] * 3,
        }
    )
    vectors = pa.array([[1, 0], [4, 4], [0, 1]], pa.list_(pa.float32()))
    found = documents(listed, pa.table({"doc_id": ["b", "a", "b"], "vector": vectors}))
    assert found.ids == ("a", "b")  # c has no chunk
    assert found.labels == ("y", "x")
    assert found.features.tolist() == [[4, 4], [0.5, 0.5]]
    assert found.training.tolist() == [split_of(key) == "train" for key in ("y/a", "x/b")]


def test_only_training_documents_of_learnable_classes_are_trained_on() -> None:
    found = Documents(
        tuple("abcdef"),
        ("x", "x", "y", "y", "z", "x"),
        np.arange(6, dtype=np.float32).reshape(6, 1),
        np.array([True, True, True, True, True, False]),
    )
    assert found.classes() == ("x", "y")
    features, labels = found.chosen(("x", "y"))
    assert features.ravel().tolist() == [0, 1, 2, 3]
    assert labels.tolist() == [0, 0, 1, 1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_macro_f1_is_what_others_say(pairs: list[tuple[int, int]]) -> None:
    true, said = (np.array(numbers) for numbers in zip(*pairs, strict=True))
    expected = f1_score(true, said, average="macro", zero_division=0)
    assert macro_f1(true, said, 4) == pytest.approx(expected)


def test_a_class_that_was_not_learned_counts_as_a_wrong_answer() -> None:
    measured = measure(["x", "y", "new", "new"], ["x", "y", "x", "y"], ["x", "x", "y"])
    assert measured.accuracy == 0.5
    assert measured.majority_accuracy == 0.25


def test_the_gain_is_certain_with_many_right_answers_and_not_with_few() -> None:
    truth = ["x", "y", "z"] * 20
    sure = measure(truth, truth, truth)
    assert sure.gain.low > 0.5
    assert sure.macro_f1 == 1
    always = measure(truth, ["x"] * 60, truth)
    assert (always.gain.low, always.gain.mean, always.gain.high) == (0, 0, 0)


def test_classes_weigh_alike_however_many_documents_they_have() -> None:
    labels = np.array([0] * 9 + [1] * 3, np.int32)
    weights = class_weights(labels, 2)
    assert (weights[labels].sum(), weights[0] * 9) == (12, weights[1] * 3)


def test_documents_of_one_class_teach_nothing(tmp_path: Path) -> None:
    ones = np.ones((4, 2), np.float32)
    found = Documents(tuple("abcd"), ("x",) * 4, ones, np.array([True, True, True, False]))

    def train(_: ClassifierJob, __: Path) -> None:
        pytest.fail("nothing is to be trained")

    with pytest.raises(NothingToLearnError, match=r"4 documents in 1 classes \(x\)"):
        refresh(found, Hyperparameters(), train, tmp_path / "new")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    ["horovod://", "tensorflow:///env?workers=0", "horovod:///env?speed=1", "horovod://h/env"],
)
def test_an_engine_needs_a_folder_and_says_so(tmp_path: Path, url: str) -> None:
    settings = Settings.from_env({"LAKELOOM_HOME": str(tmp_path), "LAKELOOM_CLASSIFIER": url})
    with pytest.raises(UsageError, match="///FOLDER"):
        connect_classifier(settings)


@pytest.mark.parametrize("name", ["tensorflow", "horovod"])
def test_an_environment_that_is_not_there_is_named_with_what_makes_it(
    tmp_path: Path, name: str
) -> None:
    url = f"{name}://{tmp_path}/none?workers=2"
    env = {"LAKELOOM_HOME": str(tmp_path), "LAKELOOM_CLASSIFIER": url}
    trainer = connect_classifier(Settings.from_env(env))
    with pytest.raises(UsageError, match=f"make test-engines-{name}"):
        trainer.train(ClassifierJob("data.npz", "out", 2), tmp_path)
