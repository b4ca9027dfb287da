"""The job `quality_report` on a real evaluation, and what MLflow's store says of its runs."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from platform_assets.definitions import build_defs
from platform_assets.evaluation.refresh import qualities
from resources.tracking.mlflow_session import EXPERIMENT, connected
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS = "reported"


@pytest.fixture(scope="module")
def evaluated(shared_platform: Platform) -> Platform:
    for topic in ("Whales", "Volcanoes", "Clocks", "Bridges"):
        text = f"# {topic} of the World\n\n{topic} are described here.\n"
        shared_platform.write(CORPUS, f"{topic.lower()}.md", text)
    shared_platform.materialize(CORPUS, select="+key:retrieval_evaluation")
    return shared_platform


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def report(instance: dg.DagsterInstance, **resources: Any) -> dg.ExecuteInProcessResult:
    job = build_defs(resources).resolve_job_def("quality_report")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def run_of(platform: Platform, result: dg.ExecuteInProcessResult) -> Any:
    with connected(platform.state.settings.tracking, None) as session:
        experiment = session.client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        (run,) = session.client.search_runs(
            [experiment.experiment_id], f"tags.dagster_run_id = '{result.run_id}'"
        )
    return run


def test_a_finished_report_holds_the_evaluations_figures(
    evaluated: Platform, instance: dg.DagsterInstance
) -> None:
    result = report(instance)
    run = run_of(evaluated, result)
    assert result.success
    assert run.info.status == "FINISHED"
    found = qualities(evaluated.state.warehouse, CORPUS, "minilm")["hybrid"].intervals()
    logged = run.data.metrics
    assert logged[f"{CORPUS}/minilm/hybrid/ndcg_at_10"] == pytest.approx(found["ndcg@10"].mean)
    assert f"{CORPUS}/bm25/mrr_at_10" in logged
    record = evaluated.state.ledger.require("retrieval_evaluation", f"{CORPUS}|minilm")
    assert run.data.tags[f"retrieval_evaluation/{CORPUS}/minilm"] == record.record_id


class Unreachable:
    """A warehouse that fails, as one that cannot be reached does."""

    def scan(self, *_: object, **__: object) -> None:
        raise ConnectionError("the catalog does not answer")


def test_a_report_that_fails_ends_as_failed(
    evaluated: Platform, instance: dg.DagsterInstance
) -> None:
    result = report(instance, warehouse=Unreachable())
    assert not result.success
    assert run_of(evaluated, result).info.status == "FAILED"
    assert run_of(evaluated, report(instance)).info.status == "FINISHED"
