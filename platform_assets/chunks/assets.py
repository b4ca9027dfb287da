"""The asset `chunks`."""

from collections.abc import Sequence

import dagster as dg

from platform_assets.automation import ON_CHANGE
from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.chunks.audit import faults
from platform_assets.chunks.chunking import ChunkingConfig
from platform_assets.chunks.refresh import refresh
from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.assets import documents
from platform_assets.documents.table import DOCUMENTS
from platform_assets.partitions import corpora
from platform_assets.provenance import Ledger
from platform_assets.raw_objects.arrivals import MANIFEST
from platform_assets.results import OWNERS, lineage, materialized, table_metadata
from platform_assets.slices import Source
from platform_assets.tables import OwnRows, keep
from resources.encoding import Tokenizer
from resources.engines import Engine
from resources.model_hub import ModelHub
from resources.object_store import ObjectStore
from resources.warehouse import STAGED, Warehouse

CODE_VERSION = "1"


def tokenizers(hub: ModelHub) -> list[Tokenizer]:
    """The tokenizer of every base model; a chunk fits them all.

    Raises:
        RuntimeError: one cannot be brought; names its recipes.
    """
    recipes: dict[str, list[str]] = {}
    for recipe in load_recipes().values():
        recipes.setdefault(recipe.base, []).append(recipe.name)
    return [_tokenizer(hub, base, recipes[base]) for base in sorted(recipes)]


def _tokenizer(hub: ModelHub, base: str, recipes: Sequence[str]) -> Tokenizer:
    from resources.encoding.tokenizer import load_tokenizer

    try:
        return load_tokenizer(hub.fetch(base))
    except Exception as error:
        raise RuntimeError(
            f"a chunk fits the encoders of all recipes, and the base of {', '.join(recipes)} "
            f"(recipes.toml) cannot be brought: {error}"
        ) from error


def token_limit(known: Sequence[Tokenizer]) -> int:
    """Tokens that every encoder reads."""
    return min(tokenizer.max_tokens for tokenizer in known)


@dg.asset(
    deps=[documents],
    partitions_def=corpora,
    group_name="document_processing",
    kinds={"iceberg", "python"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    automation_condition=ON_CHANGE,
    metadata=table_metadata(CHUNKS),
)
def chunks(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[ObjectStore],
    warehouse: dg.ResourceParam[Warehouse],
    hub: dg.ResourceParam[ModelHub],
    engine: dg.ResourceParam[Engine],
) -> dg.MaterializeResult[None]:
    """Chunk sets bounded in the encoders' own tokens, with headings kept and stable ids."""
    corpus = context.partition_key
    ledger = Ledger(lake)
    upstream = ledger.require("documents", corpus)
    chunking = ChunkingConfig.from_env()
    known = tokenizers(hub)
    branch = f"{STAGED}{corpus}-{context.run.run_id[:8]}-{context.retry_number}"
    parsed = Source(DOCUMENTS, {"corpus": corpus}, upstream.snapshot)
    own = refresh(parsed, lake, warehouse, known, chunking, engine, CODE_VERSION, branch)
    staged = own.staged()
    if staged and (found := _faults(own, staged, parsed, warehouse, token_limit(known))):
        own.discard()
        raise dg.Failure(
            f"the chunks are not published, those before stay: {'; '.join(found)}",
            metadata={"faults": found},
            allow_retries=False,
        )
    own.publish()
    config_digest = {"chunking": chunking.digest}
    record = ledger.commit(own.record(CODE_VERSION, config_digest, [upstream]))
    keep([own])
    columns = lineage(CHUNKS, {"documents": DOCUMENTS}, {"text": ("documents", "elements")})
    manifest = ledger.manifest(record)
    described = {"dagster/column_lineage": columns, MANIFEST: manifest}
    return materialized(own.report, record, described)


def _faults(
    own: OwnRows, staged: str, parsed: Source, warehouse: Warehouse, limit: int
) -> list[str]:
    """What is wrong with the rows on the branch, in the slices that were worked on."""
    made = Source(CHUNKS, parsed.scope, staged)
    return faults(warehouse, made, parsed, limit, own.slices.open if own.slices else None)
