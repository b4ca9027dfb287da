"""`lakeloom materialize`: what is asked, in the order of the asset graph, with a report."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from platform_assets.abandoned_runs import process_tag
from platform_assets.commands.runs import failure_of, logger_for, run_fault
from platform_assets.commands.state import State, open_instance, register
from platform_assets.definitions import build_defs
from platform_assets.holds import hold
from platform_assets.partitions import corpora as corpus_partitions
from platform_assets.partitions import dimensions, encoders
from platform_assets.reconcile import Work
from platform_assets.results import REPORT, WORK
from resources.settings import UsageError

ON_DEMAND = ("training_pairs", "checkpoints")
"""Assets that keep what they have unless they are asked for by name."""
KEEP: dict[str, object] = {"config": {"only_if_missing": True}}
RESTORED = "restored_index"
ASIDE = ("maintenance", "governance", "language_models", "classification")
"""Groups of assets that are left out unless they or the group are asked for by name."""


@dataclass(slots=True)
class Row:
    """What became of one asset partition."""

    asset: str
    partition: str
    rows: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    work: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Work.__slots__, 0))
    seconds: float = 0.0
    failed: str | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be materialised."""

    corpora: Sequence[str]
    encoders: Sequence[str]
    select: str | None = None
    """Dagster's selection syntax; everything by default."""
    as_of: str | None = None
    """A published state whose index to restore, instead of anything else."""
    keys: Sequence[str] = ()
    """Objects of the corpus to look at in the lake; none: all."""


def materialize(
    state: State,
    request: Request,
    show: Callable[[str], None],
    resource_overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run the selected assets on every partition asked for.

    Args:
        state: What to work on.
        request: What to materialise.
        show: Called with a line for people whenever something happens.
        resource_overrides: See `build_defs`.

    Raises:
        UsageError: the selection names no asset.
    """
    instance = open_instance(state.settings)
    register(instance, list(request.corpora))
    defs = build_defs(resource_overrides, loggers={"lakeloom": logger_for(show)})
    with hold(instance, request.corpora, show):
        rows = _rows(defs, instance, request, show)
    ok = not any(row.failed for row in rows)
    return {"ok": ok, "assets": [_plain(row) for row in rows]}


def _rows(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    request: Request,
    show: Callable[[str], None],
) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for group in _groups(defs, request):
        for partition in _partitions(defs, group, request):
            blocked = _blocked(defs, group, partition, rows)
            ready = [asset for asset in group if asset not in blocked]
            for asset, why in blocked.items():
                rows[asset, partition] = Row(asset, partition, failed=why)
            if ready:
                show(f"{' '.join(ready)} [{partition}]")
                for row in _run(defs, instance, ready, partition, _configs(ready, request)):
                    rows[row.asset, row.partition] = row
    return list(rows.values())


def _configs(assets: Sequence[str], request: Request) -> dict[str, dict[str, object]]:
    """Configuration of those assets that do not run as they are."""
    if request.as_of:
        return {RESTORED: {"config": {"as_of": request.as_of}}}
    asked: dict[str, dict[str, object]] = {} if _named(request) else dict.fromkeys(ON_DEMAND, KEEP)
    if request.keys:
        asked["raw_objects"] = {"config": {"keys": list(request.keys)}}
    return {asset: config for asset, config in asked.items() if asset in assets}


def _named(request: Request) -> bool:
    """Whether an on-demand asset was asked for by its name."""
    words = re.findall(r"\w+", request.select or "")
    return "not" not in words and any(name in words for name in ON_DEMAND)


def _selected(graph: Any, text: str | None) -> AbstractSet[dg.AssetKey]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # of what `not` is made of
            selection = dg.AssetSelection.from_string(text) if text else dg.AssetSelection.all()
        return selection.resolve(graph)
    except dg.DagsterError as error:
        raise UsageError(f"--select {text!r} is no selection of assets: {error}") from None


def _groups(defs: dg.Definitions, request: Request) -> Iterator[list[str]]:
    """Assets in topological order, gathered as long as they are partitioned alike."""
    graph = defs.resolve_asset_graph()
    wanted = {key.to_user_string() for key in _selected(graph, request.select)}
    words = set(re.findall(r"\w+", request.select or ""))
    aside = dg.AssetSelection.groups(*set(ASIDE) - words).resolve(graph)
    wanted -= {key.to_user_string() for key in aside} - words
    if not wanted:
        raise UsageError(f"--select {request.select!r} selects no asset")
    order = [
        key.to_user_string()
        for level in graph.toposorted_asset_keys_by_level
        for key in sorted(level)
        if key.to_user_string() in wanted
    ]
    done = {key.to_user_string() for key in graph.get_all_asset_keys()} - wanted
    while order:
        partitions: dg.PartitionsDefinition[str] | None = None
        group: list[str] = []
        for asset in order:
            node = graph.get(dg.AssetKey(asset))
            waits = any(key.to_user_string() not in {*done, *group} for key in node.parent_keys)
            if not waits and partitions in (None, node.partitions_def):
                partitions = node.partitions_def
                group.append(asset)
        order = [asset for asset in order if asset not in group]
        done.update(group)
        yield group


def _partitions(defs: dg.Definitions, group: Sequence[str], request: Request) -> list[str]:
    partitions = defs.resolve_asset_graph().get(dg.AssetKey(group[0])).partitions_def
    if partitions == corpus_partitions:
        return list(request.corpora)
    if partitions == encoders:
        return list(request.encoders)
    if isinstance(partitions, dg.StaticPartitionsDefinition):
        return list(partitions.get_partition_keys())
    return [
        dg.MultiPartitionKey({"corpus": corpus, "encoder": encoder})
        for corpus in request.corpora
        for encoder in request.encoders
    ]


def _blocked(
    defs: dg.Definitions,
    group: Sequence[str],
    partition: str,
    rows: Mapping[tuple[str, str], Row],
) -> dict[str, str]:
    """Assets of a group that cannot run, because an upstream of the same partition failed.

    A failed corpus never blocks an encoder, nor an encoder a corpus, which has other indexes.
    """
    graph = defs.resolve_asset_graph()
    blocked: dict[str, str] = {}
    for asset in group:
        node = graph.get(dg.AssetKey(asset))
        own = dimensions(node.partitions_def, partition).items()
        for parent in (graph.get(key) for key in node.parent_keys):
            name = parent.key.to_user_string()
            failed = any(
                dimensions(parent.partitions_def, row.partition).items() <= own
                for row in rows.values()
                if row.asset == name and row.failed
            )
            if name in blocked or failed:
                blocked[asset] = f"{name} failed"
    return blocked


def _run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    assets: Sequence[str],
    partition: str,
    configs: Mapping[str, object],
) -> list[Row]:
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        partition_key=partition,
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        run_config={"ops": configs, "loggers": {"lakeloom": {}}},
        tags=process_tag(),
        raise_on_error=False,
    )
    rows = {asset: Row(asset, partition) for asset in assets}
    for event in result.all_events:
        _take(rows, event)
    for asset, row in rows.items():
        if row.failed is None and not _succeeded(result, asset):
            row.failed = run_fault(result) or "an upstream asset or a blocking check failed"
    return list(rows.values())


def _succeeded(result: dg.ExecuteInProcessResult, asset: str) -> bool:
    return any(event.is_step_success and event.step_key == asset for event in result.all_events)


def _take(rows: dict[str, Row], event: dg.DagsterEvent) -> None:
    """Enter what an event tells into the row it concerns."""
    if event.is_step_materialization:
        found = event.step_materialization_data.materialization
        row = rows[found.asset_key.to_user_string()]
        for name, count in _json(found.metadata[REPORT]).items():
            setattr(row, name, count)
        row.work = _json(found.metadata[WORK])
    elif event.is_step_success and event.step_key in rows:
        row = rows[event.step_key or ""]
        row.seconds = round(event.step_success_data.duration_ms / 1000, 3)
    elif event.is_step_failure:
        if event.step_key in rows:
            rows[event.step_key].failed = failure_of(event)
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        row = rows[evaluation.asset_key.to_user_string()]
        if not evaluation.passed:
            said = f"{evaluation.check_name}: {evaluation.description}"
            if evaluation.severity == dg.AssetCheckSeverity.ERROR:
                row.failed = said
            else:
                row.warnings.append(said)


def _json(value: dg.MetadataValue[Any]) -> dict[str, int]:
    assert isinstance(value, dg.JsonMetadataValue)
    assert isinstance(value.data, dict)
    return {str(name): int(str(count)) for name, count in value.data.items()}


def _plain(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__slots__}
