"""Asset checks that hold for one partition, or for all there are.

Here: the loop and the verdict all checks share, and which slices they look at.
Not here: what is checked (each checks.py).
Checks have no partitions of their own, so that one run of the job `asset_checks` covers them all.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.partitions import dimensions
from platform_assets.provenance import Ledger
from platform_assets.slices import Slices, Source
from resources.object_store import ObjectStore
from resources.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found in one partition."""

    fault: str | None
    """None if the check holds."""
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


def verdict_of(
    context: dg.AssetCheckExecutionContext,
    lake: ObjectStore,
    asset: dg.AssetsDefinition,
    examine: Callable[[str], Verdict],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Examine the run's partition; in a run without one, every partition ever materialised.

    An encoder that has no recipe any more is retired: nothing is made for it, so nothing is asked.
    """
    if context.has_partition_key:
        partitions = [context.partition_key]
    else:
        name = asset.key.to_user_string()
        partitions = [key for key in Ledger(lake).partitions(name) if not _retired(asset, key)]
    found = {partition: examine(partition) for partition in partitions}
    faults = [f"{name}: {verdict.fault}" for name, verdict in found.items() if verdict.fault]
    single = len(found) == 1
    figures = {
        key if single else f"{name} {key}": value
        for name, verdict in found.items()
        for key, value in verdict.figures.items()
    }
    return dg.AssetCheckResult(
        passed=not faults,
        severity=severity,
        description="; ".join(faults) or _held(partitions),
        metadata=figures,
    )


def by_slice(
    context: dg.AssetCheckExecutionContext,
    lake: ObjectStore,
    warehouse: Warehouse,
    name: str,
    sources: Sequence[Source],
    examine: Callable[[Collection[int] | None], Verdict],
    made_by: Sequence[str] = (),
) -> Verdict:
    """The verdict on a partition whose slices are looked at where they changed since they passed.

    A run without a partition, as the job `asset_checks` makes it, looks at all of them; what it
    finds wrong is looked at again by every run until it passes.

    Args:
        context: Of the check.
        lake: Where it is noted what passed.
        warehouse: Where the tables are.
        name: `check/partition`.
        sources: The rows that the verdict depends on.
        examine: Looks at some slices of them, or at all.
        made_by: What else it depends on.
    """
    slices = Slices(lake, warehouse, f"checks/{name}", made_by, sources)
    if not context.has_partition_key:
        found = examine(None)
        if found.fault:
            slices.forget()
        return found
    found = examine(slices.open) if slices.open else Verdict(None)
    if not found.fault:
        slices.keep({})
    figures = dict(found.figures)
    if slices.known:  # they are not those of the whole
        figures = {f"{figure} looked at": value for figure, value in figures.items()}
    looked_at = f"{len(slices.open)} of {len(slices.open) + len(slices.known)}"
    return replace(found, figures={**figures, "slices looked at": looked_at})


def _retired(asset: dg.AssetsDefinition, partition: str) -> bool:
    encoder = dimensions(asset.partitions_def, partition).get("encoder")
    return encoder is not None and encoder not in load_recipes()


def _held(partitions: Sequence[str]) -> str:
    if not partitions:
        return "nothing materialised yet"
    return f"{partitions[0]}: holds" if len(partitions) == 1 else f"holds for all {len(partitions)}"
