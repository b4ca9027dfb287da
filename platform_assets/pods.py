"""What a step that trains, or encodes on a GPU, asks of Kubernetes.

Here: op tags, which dagster-k8s's executor reads (LAKELOOM_STEPS=kubernetes), whoever launches.
Not here: the training pod of the engine kubernetes:// (resources/training/kubernetes.py).
"""

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

from resources.encoding.torch import GPUS
from resources.settings import VARIABLES

_GPU = "nvidia.com/gpu"


def training_tags(trainer: str) -> dict[str, Any]:
    """Op tags of an asset that trains with an engine.

    Args:
        trainer: The engine's URL. One that trains on other machines leaves the run's own pod
            waiting, which would hold a GPU for nothing. Any other gets a GPU for each of its
            `processes`; the recipes' own engines are not known here.
    """
    parts = urlsplit(trainer)
    if parts.scheme == "kubernetes" or (parts.scheme in ("ray", "spark") and parts.netloc):
        waiting = {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
        return _tags({"container_config": {"resources": waiting}})
    return _on_gpus(_processes(parts.query))


def encoding_tags(encoding: str) -> dict[str, Any]:
    """Op tags of an asset that encodes a corpus: none, or those of a GPU, by its engine's URL."""
    gpus = GPUS.get(encoding, 0)
    return _on_gpus(str(gpus)) if gpus else {}


def _on_gpus(count: str) -> dict[str, Any]:
    resources = {
        "requests": {"cpu": "4", "memory": "16Gi"},
        "limits": {"memory": "16Gi", _GPU: count},
    }
    shared = {"name": "shm", "mount_path": "/dev/shm"}  # noqa: S108 - NCCL's, 64 MB otherwise
    return _tags(
        {
            "container_config": {"resources": resources, "volume_mounts": [shared]},
            "pod_spec_config": {
                "tolerations": [{"key": _GPU, "operator": "Exists"}],
                "volumes": [{"name": "shm", "empty_dir": {"medium": "Memory"}}],
            },
        }
    )


def _processes(query: str) -> str:
    """How many the URL says, 1 if it says none; a wrong one is for the engine to name."""
    said = parse_qs(query).get("processes", ["1"])[-1]
    return said if said.isdecimal() and int(said) else "1"


def _tags(config: dict[str, Any]) -> dict[str, Any]:
    return {"dagster-k8s/config": config}


GPU_POOL = "gpu"
"""Dagster's pool of the runs that hold a GPU; a deployment sets its limit."""
TRAINING_TAGS = training_tags(os.environ.get(VARIABLES["trainer"], ""))
"""Those of this code location, settled when it is loaded, as op tags are."""
ENCODING_TAGS = encoding_tags(os.environ.get(VARIABLES["encoding"], ""))
ENCODING_POOL = GPU_POOL if ENCODING_TAGS else None
