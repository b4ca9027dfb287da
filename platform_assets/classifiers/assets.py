"""The asset `document_classes`. It runs when it is asked for by name."""

import shutil
from dataclasses import asdict, replace

import dagster as dg

from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.classifiers.measures import Measured
from platform_assets.classifiers.refresh import read, refresh
from platform_assets.partitions import corpora_by_encoder, corpus_and_encoder
from platform_assets.provenance import Ledger, Record, canonical, links, sha256_text
from platform_assets.reconcile import Report, Work
from platform_assets.results import OWNERS, materialized
from resources.classifiers import ClassifierTrainer, Hyperparameters
from resources.object_store import ObjectStore
from resources.settings import Settings
from resources.warehouse import Warehouse

CODE_VERSION = "1"


@dg.asset(
    deps=["documents", "embeddings"],
    partitions_def=corpora_by_encoder,
    group_name="classification",
    kinds={"keras", "python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
)
def document_classes(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
    classifier_trainer: dg.ResourceParam[ClassifierTrainer],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """A classifier of documents by the mean of their embeddings, measured on unseen documents.

    A document's class is its first folder, or its type where it lies in none. Features are stored
    vectors, so nothing is embedded.
    """
    corpus, encoder = corpus_and_encoder(context.partition_key)
    ledger, chosen = Ledger(lake), Hyperparameters()
    listed = ledger.require("documents", corpus)
    embeddings = ledger.require("embeddings", context.partition_key)
    draft = Record(
        "document_classes",
        context.partition_key,
        None,
        "",
        0,
        CODE_VERSION,
        asdict(chosen),
        links([listed, embeddings]),
    )
    latest = ledger.latest("document_classes", context.partition_key)
    if latest and ledger.settled(draft):
        return materialized(Report(rows=latest.rows), latest)
    found = read(warehouse, corpus, encoder, listed, embeddings)
    folder = settings.cache / "classifiers" / f"{corpus}.{encoder}.{context.run.run_id}"
    try:
        made = refresh(found, chosen, classifier_trainer.train, folder)
        checkpoint = checkpoint_store.put(made.folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    details = {
        "checkpoint": checkpoint,
        "classes": str(len(made.classes)),
        "trained_on": str(made.trained_on),
        "engine": made.result.engine,
        "workers": str(made.result.workers),
        "final_loss": f"{made.result.losses[-1]:.4f}",
        **figures(made.measured),
    }
    digest = sha256_text(canonical(details))
    rows = len(found.ids)
    record = ledger.commit(replace(draft, digest=digest, rows=rows, details=details))
    report = Report(rows=rows, work=Work(trained_steps=chosen.steps(made.trained_on)))
    report.added, report.changed = (0, rows) if latest else (rows, 0)
    return materialized(report, record)


def figures(measured: Measured) -> dict[str, str]:
    """Measures as the record keeps them."""
    numbers = {
        "accuracy": measured.accuracy,
        "macro_f1": measured.macro_f1,
        "majority_accuracy": measured.majority_accuracy,
        "majority_f1": measured.majority_f1,
        "gain": measured.gain.mean,
        "gain_low": measured.gain.low,
        "gain_high": measured.gain.high,
    }
    shown = {name: f"{value:.4f}" for name, value in numbers.items()}
    return {"tested_on": str(measured.documents), **shown}
