"""Training on a small model: what it must come to, however it is cut up or broken off."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import load_file

from resources.training import TrainingJob, TrainingResult
from resources.training.folders import StateFolder
from tests.checkpoints import write_checkpoint
from tests.trainings import (
    SETTINGS,
    STEPS,
    Killed,
    Trained,
    alike,
    same,
    train_here,
    write_pairs,
)

pytestmark = pytest.mark.slow

AS_ONE = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
from pydantic import TypeAdapter
from resources.training import TrainingJob
from resources.training.contrastive.loop import train

job = TypeAdapter(TrainingJob).validate_json(sys.argv[1])
result = train(job, 2, lambda _: None)
Path(sys.argv[2], os.environ["RANK"] + ".json").write_text(json.dumps(asdict(result)))
"""


PATHS = {name: os.environ[name] for name in ("PATH", "HOME")}


class Bench:
    """Jobs on one small model and the same pairs, each with folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = write_checkpoint(folder / "base")
        self.pairs = write_pairs(folder / "pairs.parquet")

    def job(self, name: str, **settings: Any) -> TrainingJob:
        out = self.folder / name
        return TrainingJob(self.base, self.pairs, out / "out", out / "state", SETTINGS | settings)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def undisturbed(bench: Bench) -> Trained:
    return train_here(bench.job("undisturbed"))


@pytest.fixture
def _poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that gets no memory for the activations of more than three texts."""
    from resources.training.contrastive import encoder

    real = encoder.TextEncoder.forward

    def forward(self: Any, texts: Any) -> Any:
        import torch

        found = real(self, texts)
        if len(texts) > 3 and torch.is_grad_enabled():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return found

    monkeypatch.setattr(encoder.TextEncoder, "forward", forward)


def test_losses_move_and_weights_too(bench: Bench, undisturbed: Trained) -> None:
    base = load_file(bench.base / "model.safetensors")
    losses = [loss for _, loss in undisturbed.result.losses]
    assert len(set(losses)) == STEPS
    name = "encoder.layer.1.output.dense.weight"
    assert not np.allclose(undisturbed.weights[name], base[name], atol=1e-4)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_killed_at_any_step_it_ends_bit_for_bit_as_if_it_had_not_been(
    bench: Bench, step: int, dropout: float
) -> None:
    whole = train_here(bench.job(f"whole-{step}-{dropout}", dropout=dropout))
    job = bench.job(f"killed-{step}-{dropout}", dropout=dropout)
    with pytest.raises(Killed):
        train_here(job, die=f"step {step}/")
    assert not job.output.exists()
    resumed = train_here(job)
    assert resumed.result.steps == STEPS - (step - 1) // 2 * 2
    assert same(resumed, whole)


def test_killed_while_a_state_is_saved_it_takes_the_one_before(
    bench: Bench, undisturbed: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.job("half-saved")
    publish = StateFolder.publish

    def fall(self: StateFolder, step: int) -> None:
        if step == 4:
            raise Killed
        publish(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(StateFolder, "publish", fall)
        with pytest.raises(Killed):
            train_here(job)
    resumed = train_here(job)
    assert resumed.result.steps == STEPS - 2
    assert same(resumed, undisturbed)


@pytest.mark.parametrize("micro_batch", [1, 4, 100])
def test_fewer_activations_give_the_same_gradients(
    bench: Bench, undisturbed: Trained, micro_batch: int
) -> None:
    assert alike(
        train_here(bench.job(f"micro-{micro_batch}", micro_batch=micro_batch)), undisturbed
    )


def test_dropout_is_the_same_when_texts_are_encoded_twice(bench: Bench) -> None:
    import torch

    from resources.training.contrastive.encoder import TextEncoder
    from resources.training.stepping.memory import random_state, set_random_state

    encoder = TextEncoder(bench.base, dropout=0.5)
    encoder.train()
    state = random_state()
    first, second = encoder([[2, 5, 6, 3]]), encoder([[2, 5, 6, 3]])
    set_random_state(state)
    assert torch.equal(encoder([[2, 5, 6, 3]]), first)
    assert not torch.equal(first, second)


@pytest.mark.usefixtures("_poor")
def test_out_of_memory_halves_the_micro_batch_and_says_so(
    bench: Bench, undisturbed: Trained
) -> None:
    found = train_here(bench.job("poor"))
    told = [message for message in found.log if "out of memory" in message]
    assert told[0].startswith("step 1: out of memory with the activations of ")
    assert told[-1].endswith("micro_batch is 3 from here on, batch_size stays")
    assert alike(found, undisturbed)


@pytest.mark.usefixtures("_poor")
def test_what_ran_out_of_memory_leaves_no_trace_in_random_numbers(bench: Bench) -> None:
    found = train_here(bench.job("poor-dropout", dropout=0.3))
    assert same(found, train_here(bench.job("asked-dropout", dropout=0.3, micro_batch=3)))


@pytest.mark.usefixtures("_poor")
def test_a_resumed_training_remembers_how_much_memory_there_is(bench: Bench) -> None:
    job = bench.job("poor-killed")
    with pytest.raises(Killed):
        train_here(job, die="step 3/")
    resumed = train_here(job)
    assert resumed.result.steps == STEPS - 2
    assert not [message for message in resumed.log if "out of memory" in message]


def test_no_memory_for_a_single_text_is_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resources.training.contrastive import encoder

    def forward(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")

    monkeypatch.setattr(encoder.TextEncoder, "forward", forward)
    with pytest.raises(RuntimeError, match=r"activations of 1 texts of up to \d+ tokens: lower"):
        train_here(bench.job("no-memory"))


def test_a_loss_that_is_no_number_stops_with_the_batch_named(bench: Bench) -> None:
    job = bench.job("diverged", learning_rate=1e30, save_steps=1, warmup_ratio=0.0)
    with pytest.raises(FloatingPointError, match=r"step \d: the (loss|gradients)") as error:
        train_here(job)
    lines = str(error.value).split("rows ")[1].split(" of ")[0].split(", ")
    assert len({int(line) for line in lines}) == SETTINGS["batch_size"]
    assert str(job.pairs) in str(error.value)
    assert not job.output.exists()
    [state] = job.state.glob("*/step-*")
    kept = load_file(state / "model.safetensors")
    assert all(np.isfinite(value).all() for value in kept.values())


def test_lora_trains_few_weights_and_leaves_an_ordinary_checkpoint(bench: Bench) -> None:
    lora = {"rank": 2, "alpha": 4.0, "layers": ["query"]}
    job = bench.job("lora", lora=lora)
    with pytest.raises(Killed):
        train_here(job, die="step 3/")
    found = train_here(job)
    assert same(found, train_here(bench.job("lora-whole", lora=lora)))
    base = load_file(bench.base / "model.safetensors")
    assert found.weights.keys() >= base.keys()
    moved = {name for name in base if not np.array_equal(base[name], found.weights[name])}
    assert moved == {f"encoder.layer.{n}.attention.self.query.weight" for n in range(2)}
    update = found.weights[min(moved)] - base[min(moved)]
    assert np.linalg.matrix_rank(update, tol=1e-5) == 2


def test_a_layer_that_is_not_there_is_named_beside_one_that_is(bench: Bench) -> None:
    lora = {"rank": 2, "alpha": 4.0, "layers": ["query", "valeu"]}
    with pytest.raises(ValueError, match=r"lora\.layers: .*'valeu'; this model has .*query, value"):
        train_here(bench.job("misspelt", lora=lora))


def test_two_processes_train_as_one_does(bench: Bench, undisturbed: Trained) -> None:
    job = bench.job("two")
    script = bench.folder / "as_one.py"
    script.write_text(AS_ONE)
    message = TypeAdapter(TrainingJob).dump_json(job).decode()
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    told = bench.folder / "told"
    told.mkdir()
    done = subprocess.run(
        [sys.executable, *launcher, str(script), message, str(told)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "ACCELERATE_USE_CPU": "true", **PATHS},
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((told / f"{rank}.json").read_text()) for rank in range(2))
    assert first["losses"] == second["losses"]
    result = TypeAdapter(TrainingResult).validate_python(first)
    two = Trained(result, load_file(job.output / "model.safetensors"), [])
    assert result.world_size == 2
    assert alike(two, undisturbed)
