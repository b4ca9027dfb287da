"""Pods that outlived the run which launched them, and hold a GPU.

Here: deleting them. Not here: which pods are a training's (kubernetes.py).
"""

import os
from collections.abc import Mapping
from http import HTTPStatus


def end_pods(namespace: str, labels: Mapping[str, str]) -> None:
    """Delete all pods with some labels.

    Args:
        namespace: Empty: the one this process runs in, as dagster-k8s has it.
        labels: All of them.

    Raises:
        kubernetes.client.ApiException: the API server refuses.
    """
    from dagster_k8s.utils import detect_current_namespace
    from kubernetes import config
    from kubernetes.client import ApiException, CoreV1Api

    inside = os.environ.get("KUBERNETES_SERVICE_HOST")
    (config.load_incluster_config if inside else config.load_kube_config)()
    api, where = CoreV1Api(), namespace or detect_current_namespace(None) or "default"
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    for pod in api.list_namespaced_pod(where, label_selector=selector).items:
        try:
            # No grace: nothing of it is wanted, and it may hold the GPU that is waited for.
            api.delete_namespaced_pod(pod.metadata.name, where, grace_period_seconds=0)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
