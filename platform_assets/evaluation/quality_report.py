"""The job `quality_report`: today's retrieval quality of every corpus as one experiment run.

Not here: the measuring (refresh.py). Nothing lasting is made, so this is a job and no asset.
"""

from collections.abc import Mapping

import dagster as dg

from platform_assets.evaluation.refresh import MEASURED, Quality, qualities
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Ledger
from resources.object_store import ObjectStore
from resources.tracking import ExperimentRun
from resources.tracking.mlflow_run import end_mlflow_run
from resources.warehouse import Warehouse


@dg.op
def log_qualities(
    context: dg.OpExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    mlflow: dg.ResourceParam[ExperimentRun],
) -> None:
    """Log the metrics of the test split for each corpus, encoder and retriever.

    Raises:
        Failure: nothing has been evaluated.
    """
    ledger = Ledger(lake)
    evaluated = ledger.partitions("retrieval_evaluation")
    if not evaluated:
        raise dg.Failure("Nothing has been evaluated: run `lakeloom materialize` first.")
    for partition in evaluated:
        corpus, encoder = corpus_and_encoder(partition)
        metrics = _metrics(corpus, encoder, qualities(warehouse, corpus, encoder))
        mlflow.log_metrics(metrics)
        record = ledger.require("retrieval_evaluation", partition)
        mlflow.set_tags({f"retrieval_evaluation/{corpus}/{encoder}": record.record_id})
        context.log.info("%d figures of %s by %s", len(metrics), corpus, encoder)


@dg.job(hooks={end_mlflow_run})
def quality_report() -> None:
    """Retrieval quality on the test queries, corpus by corpus, as one MLflow run."""
    log_qualities()


def _metrics(corpus: str, encoder: str, found: Mapping[str, Quality]) -> dict[str, float]:
    """`corpus/encoder/retriever/metric` -> mean, and `corpus/bm25/metric` for the baseline."""
    metrics = {}
    for retriever, quality in found.items():
        who = f"{encoder}/{retriever}" if retriever in MEASURED else retriever
        for metric, interval in quality.intervals().items():
            metrics[f"{corpus}/{who}/{metric.replace('@', '_at_')}"] = interval.mean
    return metrics
