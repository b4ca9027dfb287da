"""The engine kubernetes:// by dagster-k8s's own client, on a protocol double of the API.

The lake is a real S3 server; what runs as the pod has nothing but it and its environment.
"""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from dagster_k8s.client import DagsterK8sError

from resources import registry
from resources.settings import Settings
from tests.integration.test_training_engines import make_job, materialize
from tests.servers.kubernetes_double import Cluster, inherited, kubernetes_double
from tests.servers.seaweed import BUCKET, Seaweed

pytestmark = pytest.mark.slow

ENGINE = "kubernetes://search?image=registry.internal/lakeloom:1"


@pytest.fixture
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seaweed_server: Seaweed
) -> Iterator[Cluster]:
    """A double whose pods get the credentials of the lake, as from the secret they refer to."""
    for name, value in seaweed_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAKELOOM_LAKE", f"s3://{BUCKET}/{uuid4().hex}")
    location = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"  # of KUBECONFIG
    monkeypatch.setattr(location, str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with kubernetes_double(tmp_path, {**inherited(), **seaweed_server.env}) as found:
        yield found


def test_a_pod_trains_and_the_checkpoint_comes_back_through_the_lake(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = make_job(tmp_path, steps=2)
    result = materialize(ENGINE, job)
    assert (result.steps, result.world_size) == (2, 1)
    assert (job.output / "model.safetensors").is_file()
    (pod,) = cluster.asked
    assert pod["spec"]["containers"][0]["image"] == "registry.internal/lakeloom:1"
    assert cluster.pods == {}
    assert list(registry.connect_lake(Settings.from_env()).objects("_lakeloom/trainings")) == []


def test_a_failed_pod_fails_the_run_and_leaves_nothing_in_the_lake(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = make_job(tmp_path, batch_siz=3)
    with pytest.raises(DagsterK8sError, match="batch_siz"):
        materialize(ENGINE, job)
    assert not job.output.exists()
    assert cluster.pods == {}
    assert list(registry.connect_lake(Settings.from_env()).objects("_lakeloom/trainings")) == []
