"""Training in a pod of its own on Kubernetes, by dagster-k8s.

Here: the engine `kubernetes://namespace?image=...` and the pod it asks for. The job's files go
through the lake (staging.py), the worker's messages through the pod's log.
Not here: what runs in the pod (pod.py, worker.py).
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from resources.object_store import ObjectStore
from resources.settings import UsageError
from resources.training import Resources, TrainingJob, TrainingResult
from resources.training.engine_url import EngineOptions
from resources.training.launch import ENVIRONMENT, extras, result_of, torchrun
from resources.training.staging import Staging, elsewhere

_FOLDER = Path("/tmp/lakeloom-training")  # noqa: S108 - a volume of the pod's own
_GPU = "nvidia.com/gpu"


class PodOptions(EngineOptions):
    """What `kubernetes://namespace?image=...` may say."""

    address: str = ""
    """Namespace; empty: the one this process runs in."""
    image: str = ""
    """Image with the platform and its dependencies; empty: LAKELOOM_IMAGE."""
    service_account: str = "lakeloom"
    settings: str = "lakeloom-settings"
    """Config map with the LAKELOOM_* variables."""
    credentials: str = "lakeloom-credentials"
    """Secret with the credentials of the lake."""


class KubernetesTrainer:
    """Runs the worker in one pod, with a process for each GPU the recipe asks for."""

    def __init__(self, options: PodOptions, lake_url: str, lake: Callable[[], ObjectStore]) -> None:
        self._options = options
        self._lake_url = lake_url
        self._lake = lake

    def train(self, job: TrainingJob, context: dg.AssetExecutionContext) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Raises:
            dagster.Failure: the worker reported no result.
            DagsterK8sError: the pod failed; its log is in the run's compute log.
            UsageError: no image is named, or pods cannot reach the lake.
        """
        from dagster_k8s import PipesK8sClient

        spec = self.pod_spec(job.resources, job.output.parent.name)
        staging = Staging(self._lake(), job.output.parent.name)
        staging.hand_over(job)
        try:
            done = PipesK8sClient().run(
                context=context,
                namespace=self._options.address or None,
                extras=extras(elsewhere(job, _FOLDER), _processes(job.resources)),
                env={**ENVIRONMENT, "LAKELOOM_LAKE": self._lake_url},
                base_pod_spec=spec,
            )
            staging.take(job)
        finally:
            staging.clear()
        return result_of(done.get_custom_messages())

    def pod_spec(self, asked: Resources, name: str) -> dict[str, Any]:
        """The pod's spec, but for what dagster-k8s adds for Pipes.

        Raises:
            UsageError: no image is named, or pods cannot reach the lake.
        """
        options = self._options
        image = options.image or os.environ.get("LAKELOOM_IMAGE")
        if not image:
            raise UsageError("the engine kubernetes:// needs an image: set LAKELOOM_IMAGE")
        if urlsplit(self._lake_url).scheme == "file":
            raise UsageError(
                "a training pod cannot reach a lake in a folder: set LAKELOOM_LAKE to s3://, gs:// "
                "or az://"
            )
        worker = ["python", *torchrun(_processes(asked))[1:]]
        container = {
            "name": "training",
            "image": image,
            "command": ["python", "-m", "resources.training.pod", name, *worker],
            "env_from": [
                {"config_map_ref": {"name": options.settings}},
                {"secret_ref": {"name": options.credentials}},
            ],
            "resources": _resources(asked),
            "volume_mounts": [
                {"name": "training", "mount_path": str(_FOLDER)},
                {"name": "shm", "mount_path": "/dev/shm"},  # noqa: S108 - NCCL's, 64 MB otherwise
            ],
        }
        return {
            "service_account_name": options.service_account,
            "containers": [container],
            "tolerations": [{"key": _GPU, "operator": "Exists"}] if asked.gpus else [],
            "volumes": [
                {"name": "training", "empty_dir": {}},
                {"name": "shm", "empty_dir": {"medium": "Memory"}},
            ],
        }


def _processes(asked: Resources) -> int:
    return max(1, asked.gpus)


def _resources(asked: Resources) -> dict[str, dict[str, str]]:
    """Requests and limits; processor time is not limited, since that only makes it idle."""
    memory = {"memory": asked.memory} if asked.memory else {}
    cpu = {"cpu": f"{asked.cpu:g}"} if asked.cpu else {}
    gpus = {_GPU: str(asked.gpus)} if asked.gpus else {}
    return {"requests": {**cpu, **memory, **gpus}, "limits": {**memory, **gpus}}
