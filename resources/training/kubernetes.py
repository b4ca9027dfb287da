"""Training in a pod of its own on Kubernetes, by dagster-k8s.

Here: the engine `kubernetes://namespace?image=...` and the pod it asks for. The job's files go
through the lake (staging.py), the worker's messages through the pod's log.
Not here: what runs in the pod (pod.py, worker.py), pods of earlier launches (leftover_pods.py).
"""

import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import dagster as dg
from pydantic import PositiveInt

from resources.object_store import ObjectStore
from resources.settings import UsageError
from resources.training import Heard, Resources, TrainingJob, TrainingResult, unheard
from resources.training.engine_url import EngineOptions
from resources.training.hearing import HearsLosses
from resources.training.launch import ENVIRONMENT, extras, result_of, torchrun
from resources.training.leftover_pods import end_pods
from resources.training.staging import Staging, elsewhere

_FOLDER = Path("/tmp/lakeloom-training")  # noqa: S108 - a volume of the pod's own
_GPU = "nvidia.com/gpu"
_LABEL = "lakeloom/training"
"""Label of the pods of one training, whichever run launched them."""


class PodOptions(EngineOptions):
    """What `kubernetes://namespace?image=...` may say."""

    address: str = ""
    """Namespace; empty: the one this process runs in."""
    image: str = ""
    """Image with the platform and its dependencies; empty: LAKELOOM_IMAGE."""
    service_account: str = "lakeloom"
    settings: str = "lakeloom-settings"
    """Config map with the LAKELOOM_* variables."""
    credentials: str = "lakeloom-runner"
    """Secret with the credentials of the lake."""
    deadline_seconds: PositiveInt = 86_400
    """When Kubernetes ends a pod, also that of a run that is gone."""


class KubernetesTrainer:
    """Runs the worker in one pod, with a process for each GPU the recipe asks for."""

    def __init__(self, options: PodOptions, lake_url: str, lake: Callable[[], ObjectStore]) -> None:
        self._options = options
        self._lake_url = lake_url
        self._lake = lake

    def train(
        self, job: TrainingJob, context: dg.AssetExecutionContext, heard: Heard = unheard
    ) -> TrainingResult:
        """Run the worker to its end, its progress and losses in the run's log.

        Another launch of the same training is ended. This one goes on from its last saved state.

        Raises:
            dagster.Failure: the worker reported no result.
            DagsterK8sError: the pod failed; its log is in the run's compute log.
            UsageError: no image is named, or pods cannot reach the lake.
        """
        from dagster_k8s import PipesK8sClient
        from dagster_k8s.pipes import PipesK8sPodLogsMessageReader

        class PodMessages(HearsLosses, PipesK8sPodLogsMessageReader):
            """Messages in the pod's log."""

        messages = PodMessages()
        messages.heard = heard
        launch = uuid4().hex  # so that no other launch's pod writes there
        spec = self.pod_spec(job.resources, job.name, launch)
        staging = Staging(self._lake(), job.name, launch)
        end_pods(self._options.address, self.labels(job.name))
        try:
            staging.inherit()
            staging.hand_over(job)
            done = PipesK8sClient(message_reader=messages).run(
                context=context,
                namespace=self._options.address or None,
                extras=extras(elsewhere(job, _FOLDER), _processes(job.resources)),
                env={**ENVIRONMENT, "LAKELOOM_LAKE": self._lake_url},
                base_pod_meta={"labels": self.labels(job.name)},
                base_pod_spec=spec,
                pod_wait_timeout=float(self._options.deadline_seconds),
            )
            staging.take(job)
        except BaseException:
            with suppress(OSError, ValueError):  # of the lake: not why the training failed
                if not staging.has_state():
                    staging.clear()
            raise
        staging.clear()
        return result_of(done.get_custom_messages())

    def labels(self, name: str) -> dict[str, str]:
        """Labels of the pods of a training; those of another lake's are others."""
        training = sha256(f"{self._lake_url}|{name}".encode()).hexdigest()[:32]
        return {_LABEL: training}

    def pod_spec(self, asked: Resources, training: str, launch: str) -> dict[str, Any]:
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
            "command": ["python", "-m", "resources.training.pod", training, launch, *worker],
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
            "active_deadline_seconds": options.deadline_seconds,
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
