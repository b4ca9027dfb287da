"""The end of an erasure: once the graph was carried through, the past goes, and the proof is made.

Here: what is left of a document in tables, indexes and versions is removed, then every byte is
searched, what can be cleaned is cleaned, and the case is written.
Not here: noting the document (begin.py), the search itself (search.py).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.erasure.case import Case, now
from platform_assets.erasure.cleaning import Cleaner
from platform_assets.erasure.pins import forget_past
from platform_assets.erasure.search import (
    Find,
    Searched,
    Sought,
    objects_of,
    search_collections,
    search_contents,
    search_folder,
)
from platform_assets.erasure.tombstones import generation
from platform_assets.maintenance.pins import pins
from platform_assets.maintenance.tables import ALL_TABLES
from platform_assets.provenance import PREFIX, Ledger
from platform_assets.queries.pairs import shows_erased
from platform_assets.vector_indexes.parts import is_outdated
from platform_assets.vector_indexes.publish import drop_outdated
from resources.object_store import ObjectStore
from resources.settings import Settings
from resources.training import STAGING
from resources.vector_store import VectorStore
from resources.warehouse import TableSpec, Warehouse

_SOON = datetime.max.replace(tzinfo=UTC)
"""Older than this is everything: no snapshot is too young to go."""
_TRAINING = len([*STAGING.split("/"), "asset", "recipe"])
"""Parts of a key that name the training whose files it is one of."""
_COMMIT_TIME = timedelta(hours=1)
"""What a run may take from writing a file to its commit; spared while others may be under way."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where erased text is removed and searched for."""

    lake: ObjectStore
    warehouse: Warehouse
    vectors: VectorStore
    settings: Settings
    dagster: Path
    """Dagster's home."""
    forget_run: Callable[[str], None]
    alone: bool
    """Whether no other run can be under way, which may be about to commit files it has written."""
    idle: bool
    """Whether no other run of this Dagster is under way."""


def still_there(case: Case, ground: Ground) -> list[str]:
    """Why the graph was not carried through yet; empty if it was."""
    why = [
        f"{table.name} still has rows of it"
        for table in ALL_TABLES.values()
        if table.group == "doc_id" and _rows(case, ground.warehouse, table)
    ]
    if shows_erased(ground.lake, ground.warehouse, case.corpus):
        why.append("training_pairs still shows it")
    served = ground.vectors.served(case.corpus)
    if served and is_outdated(served.collection, generation(ground.lake, case.corpus)):
        why.append("the index that is served was built before the erasure")
    return why


def drop_stray_rows(case: Case, ground: Ground) -> int:
    """Remove vectors by encoders that have no recipe any more, which no asset would touch."""
    rows = _rows(case, ground.warehouse, EMBEDDINGS)
    for encoder in sorted({row["encoder"] for row in rows}):
        scope = {"corpus": case.corpus, "encoder": encoder}
        nothing = EMBEDDINGS.schema.empty_table()
        ground.warehouse.replace(EMBEDDINGS, scope, case.documents, nothing)
    return len(rows)


def settle(case: Case, ground: Ground) -> Case:
    """Remove the past of a document and prove it.

    The proof is kept as the case's: state, places searched, bytes, what was found.
    """
    case = _past_removed(case, ground)
    sought = Sought(case.read_passages(ground.lake), case.contents, case.sizes)
    searched = list(_search(ground, sought))
    cleaned: list[str] = []
    if finds := [find for place in searched for find in place.found]:
        cleaned = [*_cleaner(ground, sought).clean(finds), *_unstaged(finds, ground)]
    if cleaned:  # the places they were in are searched anew, whole
        searched = list(_search(ground, sought))
    found = [find for place in searched for find in place.found]
    unreadable = any(place.unreadable for place in searched)
    case = replace(
        case,
        settled=now(),
        state="found" if found else "unreadable" if unreadable else "proven",
        cleaned=tuple(sorted({*case.cleaned, *(_shown(ground, path) for path in cleaned)})),
        searched=tuple(_figures(ground, place) for place in searched),
        found=tuple(_shown_find(ground, find) for find in found),
        not_searched=tuple(_not_searched(case, ground.settings)),
    )
    return case.close(ground.lake) if case.state == "proven" else case.write(ground.lake)


def _past_removed(case: Case, ground: Ground) -> Case:
    """Drop collections of earlier generations, expire snapshots, delete files and versions."""
    current = generation(ground.lake, case.corpus)
    dropped = drop_outdated(case.corpus, ground.vectors, current)
    ledger = Ledger(ground.lake)
    own = forget_past(case.corpus, ledger, ground.vectors)
    kept = pins(ledger, ground.vectors)
    removed = {"collections": len(dropped), "snapshots": 0, "files": 0, "bytes": 0}
    before = _SOON if ground.alone else datetime.now(UTC) - _COMMIT_TIME
    for table in ALL_TABLES.values():
        mine, scope = own.get(table.name, frozenset()), {"corpus": case.corpus}
        for done in (
            ground.warehouse.expire(table, kept.of(table.name), before),
            ground.warehouse.forget(table, scope, mine),
            ground.warehouse.remove_orphans(table, before),
        ):
            for name in ("snapshots", "files", "bytes"):
                removed[name] += getattr(done, name)
    removed["versions"] = ground.lake.forget_past(f"{PREFIX}/")
    total = {name: count + case.removed.get(name, 0) for name, count in removed.items()}
    return replace(case, removed=total).write(ground.lake)


def _search(ground: Ground, sought: Sought) -> Iterator[Searched]:
    folders = {**ground.settings.local_places(), "dagster": ground.dagster}
    for name, path in folders.items():
        within = [other for other in folders.values() if other != path]
        if any(path.is_relative_to(other) for other in within if path != other):
            continue  # it is searched with the folder that it lies in
        yield search_folder(name, path, sought)
    if "lake" not in folders:
        yield search_contents("lake", objects_of(ground.lake, ground.settings.cache), sought)
    elsewhere = [
        table
        for table in ALL_TABLES.values()
        if not ground.warehouse.location(table).startswith(ground.settings.lake.rstrip("/"))
    ]
    if elsewhere:
        files = (file for table in elsewhere for file in ground.warehouse.files(table))
        yield search_contents("tables", files, sought)
    yield search_collections("vectors, as read", ground.vectors, sought)


def _not_searched(case: Case, settings: Settings) -> Iterator[str]:
    if not case.passages:
        yield "text: it has no passage of its own, only whole files were compared with its bytes"
    here = settings.local_places()
    for layer in ("catalog", "vectors", "tracking"):
        if layer not in here:
            yield f"{layer}: it is on a server, whose own files cannot be read from here"


def _unstaged(finds: Iterable[Find], ground: Ground) -> list[str]:
    """Remove what a training that was killed left in the lake for a machine of its own.

    It goes whole, with its saved state. A training of another Dagster that is under way fails: it
    learns from what is to be erased.
    """
    if not ground.idle:
        return []
    found = (find.item.split("/") for find in finds if find.item.startswith(f"{STAGING}/"))
    trainings = {"/".join(parts[:_TRAINING]) for parts in found}
    staged = sorted(left.key for each in trainings for left in ground.lake.objects(f"{each}/"))
    for key in staged:
        ground.lake.purge(key)
    return staged


def _cleaner(ground: Ground, sought: Sought) -> Cleaner:
    return Cleaner(
        ground.settings.cache,
        ground.settings.cache / "checkpoints" / "training",
        ground.dagster,
        ground.forget_run,
        sought.passages,
    )


def _rows(case: Case, warehouse: Warehouse, table: TableSpec) -> list[dict[str, str]]:
    columns = list(dict.fromkeys((*table.scope, table.group)))
    scope = {"corpus": case.corpus}
    rows: list[dict[str, str]] = warehouse.scan(table, scope, columns, case.documents).to_pylist()
    return rows


def _figures(ground: Ground, place: Searched) -> dict[str, object]:
    figures = asdict(place)
    figures["found"] = len(place.found)
    figures["unreadable"] = [_shown(ground, item) for item in place.unreadable]
    return figures


def _shown_find(ground: Ground, find: Find) -> dict[str, object]:
    return {**asdict(find), "item": _shown(ground, find.item)}


def _shown(ground: Ground, path: str) -> str:
    """A path below the platform's home, or as it is."""
    home = str(ground.settings.home)
    return path.removeprefix(f"{home}/")
