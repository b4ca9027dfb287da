"""The assets `vector_index` and `published_index`."""

from dataclasses import replace

import dagster as dg

from platform_assets.automation import ON_ANY_UPDATE, ON_CHANGE
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.chunks.assets import chunks
from platform_assets.embeddings.assets import embeddings
from platform_assets.erasure.tombstones import erasure_config, generation
from platform_assets.partitions import corpora, corpora_by_encoder, corpus_and_encoder
from platform_assets.provenance import Ledger, Record, canonical, links, sha256_text
from platform_assets.raw_objects.arrivals import MANIFEST
from platform_assets.reconcile import Report
from platform_assets.results import OWNERS, materialized, progress_log
from platform_assets.vector_indexes.measuring import Measuring
from platform_assets.vector_indexes.parts import is_large, is_outdated, is_there
from platform_assets.vector_indexes.publish import (
    candidates,
    choose,
    drop_outdated,
    drop_unserved,
    quality_faults,
    served_scores,
)
from platform_assets.vector_indexes.refresh import IndexSource, refresh
from resources.object_store import ObjectStore
from resources.vector_store import Served, VectorStore
from resources.warehouse import Warehouse

CODE_VERSION = "1"


@dg.asset(
    deps=[embeddings, chunks],
    partitions_def=corpora_by_encoder,
    group_name="vector_database",
    kinds={"qdrant"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_CHANGE,
)
def vector_index(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
    checkpoint_store: dg.ResourceParam[CheckpointStore],
) -> dg.MaterializeResult[None]:
    """An immutable collection of dense and BM25 vectors: the last one and the difference.

    A large one has a part for some slices of the tables each, so that a change costs its part.
    """
    corpus, encoder = corpus_and_encoder(context.partition_key)
    ledger = Ledger(lake)
    upstream = [
        ledger.require("embeddings", context.partition_key),
        ledger.require("chunks", corpus),
        ledger.require("checkpoints", encoder),
    ]
    checkpoint = upstream[2]
    encoder_digest = checkpoint.details["encoder_digest"]
    dimensions = checkpoint_store.dimensions(checkpoint)
    latest = ledger.latest("vector_index", context.partition_key)
    erased = generation(lake, corpus)
    pins = (upstream[1].snapshot, upstream[0].snapshot)
    embedded_by = upstream[0].code_version
    versions = (CODE_VERSION, embedded_by)
    made_of = (corpus, encoder, encoder_digest, dimensions, *pins, *versions, erased)
    source = IndexSource(*made_of, is_large(upstream[1].rows, latest))
    progress = progress_log(context, "points upserted")
    built = refresh(source, warehouse, vectors, lake, latest, progress)
    details = {
        **built.details,
        "encoder_digest": encoder_digest,
        "dimensions": str(dimensions),
        "embeddings_snapshot": upstream[0].snapshot or "",
    }
    if latest and latest.details["collection"] == built.collection:
        details["embeddings_snapshot"] = latest.details["embeddings_snapshot"]
    record = ledger.commit(
        Record(
            "vector_index",
            context.partition_key,
            None,
            built.digest,
            built.report.rows,
            CODE_VERSION,
            {"embedded_by": embedded_by, **erasure_config(erased)},
            links(upstream),
            details,
        )
    )
    if not is_there(vectors, built.collection):
        # Another encoder's publication dropped it before the record said that it is needed.
        raise dg.RetryRequested(max_retries=1)
    return materialized(built.report, record)


@dg.asset(
    deps=["retrieval_evaluation", vector_index],
    partitions_def=corpora,
    group_name="vector_database",
    kinds={"qdrant"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_ANY_UPDATE,
    op_tags={"dagster/priority": "1"},  # ahead of the plots, which users can wait for
)
def published_index(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    vectors: dg.ResourceParam[VectorStore],
) -> dg.MaterializeResult[None]:
    """The alias that applications search: the best measured index, moved only through the gate.

    The index served before stays, so that `lakeloom rollback` is one switch. What was rolled back
    is not published again until something upstream changes. After an erasure nothing stays that was
    built before it.
    """
    corpus = context.partition_key
    ledger, erased = Ledger(lake), generation(lake, corpus)
    found = candidates(corpus, ledger, warehouse, load_recipes(), erased)
    upstream = [record for each in found for record in (each.index, each.evaluation)]
    config = erasure_config(erased)
    manifest = ledger.manifest(ledger.require("chunks", corpus))
    draft = Record("published_index", corpus, None, "", 1, CODE_VERSION, config, links(upstream))
    latest = ledger.latest("published_index", corpus)
    served, previous = now, _ = vectors.served(corpus), vectors.previous(corpus)
    if served and is_outdated(served.collection, erased):
        served = None  # it holds what was erased, so nothing need be as good as it was
    carried_out = {end.record for end in (served, previous) if end}
    if latest and ledger.settled(draft) and latest.record_id in carried_out:
        return materialized(Report(rows=1), latest, {MANIFEST: manifest})
    choice, retriever = choose(found, served)
    faults = []
    if choice.index.rows:  # an emptied corpus has nothing to measure
        faults = quality_faults((choice, retriever), served_scores(served, ledger, warehouse))
    faults += Measuring(lake, warehouse, vectors).faults(choice.index)
    if faults:
        stays = f"{now.collection} stays served" if now else "nothing is served"
        raise dg.Failure(
            f"{choice.collection} is not published, {stays}: {'; '.join(faults)}",
            metadata={"faults": faults, "candidate": choice.collection},
            allow_retries=False,
        )
    details = {
        "collection": choice.collection,
        "encoder": choice.encoder,
        "retriever": str(retriever),
    }
    digest = sha256_text(canonical(details))
    record = ledger.commit(replace(draft, digest=digest, details=details))
    vectors.switch(corpus, Served(choice.collection, choice.encoder, retriever, record.record_id))
    built = (ledger.latest("vector_index", f"{corpus}|{encoder}") for encoder in load_recipes())
    kept = (record.details["collection"] for record in built if record)
    dropped = [*drop_outdated(corpus, vectors, erased), *drop_unserved(corpus, vectors, kept)]
    report = Report(rows=1, added=int(latest is None), changed=int(latest is not None))
    return materialized(report, record, {"collections dropped": len(dropped), MANIFEST: manifest})
