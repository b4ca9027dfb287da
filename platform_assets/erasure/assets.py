"""The asset `erasures`."""

from dataclasses import asdict
from pathlib import Path

import dagster as dg
from pydantic import Field

from platform_assets.abandoned_runs import UNFINISHED
from platform_assets.erasure.begin import begin
from platform_assets.erasure.case import Case, cases
from platform_assets.erasure.settle import Ground, drop_stray_rows, settle, still_there
from platform_assets.partitions import corpora
from platform_assets.provenance import Ledger, Record, canonical, links, sha256_text
from platform_assets.reconcile import Report
from platform_assets.results import OWNERS, materialized
from resources.object_store import ObjectStore
from resources.settings import Settings
from resources.vector_store import VectorStore
from resources.warehouse import Warehouse

CODE_VERSION = "1"
HOLDERS = (
    *("raw_objects", "documents", "chunks", "queries", "training_pairs", "embeddings"),
    *("vector_index", "retrieval_evaluation", "published_index", "evaluation_plots"),
)
"""Assets that may hold a document. Each is an upstream of its own: a corpus need not have all."""


class Erase(dg.Config):
    """What to erase."""

    document: str = Field(
        "",
        description="Id of a document (column doc_id) to erase; its key is not asked for, since "
        "configurations are kept. Empty: only those that were marked before.",
    )
    reason: str = Field("", description="Why; kept with the erasure, so no personal data here.")


@dg.asset(
    deps=HOLDERS,
    partitions_def=corpora,
    group_name="governance",
    kinds={"python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
)
def erasures(
    context: dg.AssetExecutionContext,
    config: Erase,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """Documents that must be nowhere any more, each with the proof that it is nowhere.

    Marking one removes its object; the graph carries that through like any deletion; the next
    materialisation removes the past of tables and indexes and searches every byte. On demand.
    """
    corpus = context.partition_key
    if config.document:
        begin(corpus, config.document, config.reason, lake, warehouse)

    def forget_run(run_id: str) -> None:
        if run_id != context.run.run_id:
            context.instance.delete_run(run_id)

    dagster_home = Path(context.instance.root_directory)
    under_way = context.instance.get_run_ids(dg.RunsFilter(statuses=list(UNFINISHED)))
    # Who else shares a catalog on a server, with a Dagster of their own, cannot be seen from here.
    idle = set(under_way) <= {context.run.run_id}
    alone = idle and "catalog" in settings.local_places()
    ground = Ground(lake, warehouse, vectors, settings, dagster_home, forget_run, alone, idle)
    before = list(cases(lake, corpus))
    after = [case if case.state == "proven" else _advance(context, case, ground) for case in before]
    published = Ledger(lake).latest("published_index", corpus)
    states = {case.key.rsplit("/", 1)[1]: case.state for case in after}
    record = Ledger(lake).commit(
        Record(
            "erasures",
            corpus,
            None,
            sha256_text(canonical(states)),
            len(after),
            CODE_VERSION,
            upstream=links([published] if published else []),
            details={state: str(list(states.values()).count(state)) for state in states.values()},
        )
    )
    changed = sum(old != new for old, new in zip(before, after, strict=True))
    report = Report(rows=len(after), changed=changed)
    shown = {case.documents[0]: dg.MetadataValue.json(asdict(case)) for case in after}
    return materialized(report, record, shown)


def _advance(context: dg.AssetExecutionContext, case: Case, ground: Ground) -> Case:
    drop_stray_rows(case, ground)
    if why := still_there(case, ground):
        context.log.warning(
            "%s is marked, its removal is not carried through yet: %s; materialise what is "
            "upstream, then this asset again",
            case.documents[0],
            "; ".join(why),
        )
        return case
    return settle(case, ground)
