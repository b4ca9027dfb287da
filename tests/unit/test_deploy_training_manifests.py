"""The manifests for Kubeflow Trainer and MLRun: they know every field, the pods are valid."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MLRUN = ROOT / ".venv-mlrun/bin/python"
TELL = "import json, mlrun, sys; print(json.dumps(mlrun.import_function(sys.argv[1]).to_dict()))"


def manifest(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / path).read_text())
    return found


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("kubeflow/runtime.yaml", "TrainerV1alpha1TrainingRuntime"),
        ("kubeflow/trainjob.yaml", "TrainerV1alpha1TrainJob"),
    ],
)
def test_kubeflow_trainer_knows_every_field(path: str, model: str) -> None:
    models = pytest.importorskip("kubeflow_trainer_api.models")
    written = manifest(path)
    assert getattr(models, model).from_dict(written).to_dict() == written


def test_job_refers_to_the_runtime() -> None:
    runtime, job = manifest("kubeflow/runtime.yaml"), manifest("kubeflow/trainjob.yaml")
    assert job["spec"]["runtimeRef"]["kind"] == runtime["kind"]
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]


def pod_of_kubeflow() -> dict[str, Any]:
    jobs = manifest("kubeflow/runtime.yaml")["spec"]["template"]["spec"]["replicatedJobs"]
    spec: dict[str, Any] = jobs[0]["template"]["spec"]["template"]["spec"]
    return spec


def pod_of_mlrun() -> dict[str, Any]:
    """What MLRun makes of the parts of its function that are Kubernetes's own."""
    spec = manifest("mlrun/function.yaml")["spec"]
    parts = {name: spec[name] for name in ("image", "args", "env", "resources")}
    return {
        "serviceAccountName": spec["service_account"],
        "tolerations": spec["tolerations"],
        "containers": [{"name": "base", "command": [spec["command"]], **parts}],
    }


@pytest.mark.parametrize("pod", [pod_of_kubeflow(), pod_of_mlrun()])
def test_pod_is_valid_and_holds_no_secret(pod: dict[str, Any]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "training"}, "spec": pod}
    kubernetes_validate.validate(whole, "1.33", strict=True)
    for variable in pod["containers"][0].get("env", []):
        assert "valueFrom" in variable or not variable["name"].startswith("AWS")


@pytest.mark.slow
@pytest.mark.skipif(not MLRUN.exists(), reason="`make test-training-engines` installs MLRun")
def test_mlrun_takes_every_field() -> None:
    """MLRun itself, in an environment of its own, reads the function and tells it again."""
    path = DEPLOY / "mlrun/function.yaml"
    told = subprocess.run(
        [MLRUN, "-c", TELL, str(path)], capture_output=True, text=True, check=True, env={}
    )
    found, written = json.loads(told.stdout.splitlines()[-1]), manifest("mlrun/function.yaml")
    assert found["kind"] == written["kind"]
    assert {name: found["spec"].get(name) for name in written["spec"]} == written["spec"]


@pytest.mark.parametrize("path", ["kubeflow/trainjob.yaml", "mlrun/function.yaml"])
def test_command_is_one_of_ours(path: str) -> None:
    from platform_assets.checkpoints.recipes import load_recipes
    from resources.registry import check_engine

    spec = manifest(path)["spec"]
    trainer = spec.get("trainer", spec)
    command = [*trainer["command"]] if "trainer" in spec else [spec["command"], *spec["args"]]
    assert command[:2] == ["lakeloom", "materialize"]
    assert command[command.index("--encoder") + 1] in load_recipes()
    engines = [each["value"] for each in trainer["env"] if each["name"] == "LAKELOOM_TRAINER"]
    for engine in engines:
        check_engine(engine)
    assert engines
