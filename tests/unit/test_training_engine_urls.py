"""What LAKELOOM_TRAINER may say, and which engine a job gets."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from resources import registry
from resources.settings import Settings, UsageError, require
from resources.training import Heard, Resources, TrainingJob, TrainingResult, unheard
from resources.training.accelerate import AccelerateTrainer
from resources.training.by_recipe import TrainerByRecipe
from resources.training.deepspeed import DeepSpeedTrainer
from resources.training.engine_url import EngineOptions
from resources.training.ray import RayTrainer
from resources.training.spark import SparkTrainer


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("accelerate://", AccelerateTrainer()),
        ("accelerate://?processes=2", AccelerateTrainer(processes=2)),
        ("deepspeed://?processes=4&stage=3", DeepSpeedTrainer(processes=4, stage=3)),
        ("ray://?workers=2", RayTrainer(workers=2)),
        ("ray://head:6379?workers=8", RayTrainer(address="head:6379", workers=8)),
        ("spark://master:7077?workers=8", SparkTrainer(address="master:7077", workers=8)),
    ],
)
def test_url_names_engine_and_parameters(url: str, engine: EngineOptions) -> None:
    assert type(engine).of(url) == engine


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("accelerate://?proceses=2", "proceses: Extra inputs.*it takes processes"),
        ("accelerate://?processes=0", "processes: .*greater than 0"),
        ("accelerate://?processes=", "processes: .*valid integer"),
        ("accelerate://host", "address: Extra inputs"),
        ("deepspeed://?stage=4", "stage: .*less than or equal to 3"),
        ("kubernetes://search?images=x", "images: Extra inputs"),
        ("horse://", "LAKELOOM_TRAINER='horse:.*names no known system"),
    ],
)
def test_wrong_parameter_is_named(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.connect_trainer(replace(Settings.from_env({}), trainer=url))


def test_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(UsageError, match=r"ray:// needs no_such.*pip install .*\.\[ray\]"):
        require("the training engine ray://", "ray", "json", "no_such_package")
    with pytest.raises(UsageError, match=r"ninja .*DS_BUILD_OPS=0 .*--no-build-isolation -e"):
        require("the training engine deepspeed://", "deepspeed", "no_such_package")
    require("anything", "ray", "json")


@pytest.mark.parametrize("kind", [AccelerateTrainer, DeepSpeedTrainer])
def test_as_many_processes_as_gpus_or_neither_is_right(kind: type[AccelerateTrainer]) -> None:
    kind(processes=2).check(Resources())
    kind(processes=2).check(Resources(gpus=2))
    here, context = Path(), cast("Any", None)
    job = TrainingJob(here, here, here, here, {}, resources=Resources(gpus=2))
    with pytest.raises(UsageError, match=r"2 GPUs, .* 3 processes.*gpus = 3 .*\?processes=2"):
        kind(processes=3).train(job, context)


def test_a_language_model_is_refused_where_weights_are_shared_out() -> None:
    here = Path()
    job = TrainingJob(here, here, here, here, {}, task="causal")
    context: Any = None
    with pytest.raises(UsageError, match=r"stage=3 trains no language models.*stage=2"):
        DeepSpeedTrainer(stage=3).train(job, context)


class Named:
    """An engine that says which it was."""

    def __init__(self, name: str) -> None:
        self._name = name

    def train(self, job: TrainingJob, context: Any, heard: Heard = unheard) -> TrainingResult:
        del job, context, heard
        return TrainingResult(1, 1, self._name, "float32", (), 0)


def test_the_recipes_engine_wins_over_the_setting() -> None:
    trainer = TrainerByRecipe(Named("of the setting"), Named)
    here = Path()
    job = TrainingJob(here, here, here, here, {})
    context: Any = None
    assert trainer.train(job, context).device == "of the setting"
    asking = replace(job, engine="ray://?workers=2")
    assert trainer.train(asking, context).device == "ray://?workers=2"
