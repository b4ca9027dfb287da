"""`lakeloom erase`: a document out of everything, its past too, and the proof."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.commands.materialize import Request, materialize
from platform_assets.commands.state import State
from platform_assets.erasure import tombstones
from platform_assets.erasure.assets import HOLDERS
from platform_assets.erasure.begin import NoSuchDocumentError, begin
from platform_assets.erasure.case import read_case
from platform_assets.raw_objects.table import document_id


def erase(
    state: State,
    corpus: str,
    key: str,
    reason: str,
    show: Callable[[str], None],
    resource_overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Mark the document, carry its removal through the graph, remove its past, prove it.

    Args:
        state: What to work on.
        corpus: Name of the corpus.
        key: The document's key within the corpus; it is kept nowhere.
        reason: Why; kept with the erasure.
        show: Called with a line for people whenever something happens.
        resource_overrides: See `build_defs`.

    Raises:
        LookupError: there is no such document.
    """
    doc_id = document_id(corpus, key)
    try:
        case = begin(corpus, doc_id, reason, state.lake, state.warehouse)
    except NoSuchDocumentError:
        raise LookupError(f"corpus {corpus} has no document {key!r}") from None
    made = [
        name for name in load_recipes() if state.ledger.latest("embeddings", f"{corpus}|{name}")
    ]
    request = Request([corpus], made, _carried_through(state, corpus))
    answer = materialize(state, request, show, resource_overrides)
    case = read_case(state.lake, case.key)
    ok = bool(answer["ok"]) and case.state == "proven"
    return {
        "ok": ok,
        "key": key,
        "document": doc_id,
        **asdict(case),
        "assets": answer["assets"],
    }


def lift(state: State, corpus: str, key: str) -> dict[str, Any]:
    """Let a document come back with the next upload.

    Raises:
        LookupError: it has no tombstone.
    """
    lifted = tombstones.lift(state.lake, corpus, document_id(corpus, key))
    if not lifted:
        raise LookupError(f"{key!r} of {corpus} is not erased: there is nothing to lift")
    return {"ok": True, "corpus": corpus, "key": key, "lifted": lifted}


def _carried_through(state: State, corpus: str) -> str:
    """Selection of what is upstream of `erasures`, but for what was never made, and training."""
    absent = [
        asset
        for asset in HOLDERS
        if all(name.split("|")[0] != corpus for name in state.ledger.partitions(asset))
    ]
    left_out = " or ".join(f"key:{asset}" for asset in ("checkpoints", *absent))
    return f"+key:erasures and not ({left_out})"
