"""Asset checks that hold for one partition, or for all there are.

Here: the loop and the verdict all checks share. Not here: what is checked (each checks.py).
Checks have no partitions of their own, so that one run of the job `asset_checks` covers them all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.partitions import dimensions
from platform_assets.provenance import Ledger
from resources.object_store import ObjectStore


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


def _retired(asset: dg.AssetsDefinition, partition: str) -> bool:
    encoder = dimensions(asset.partitions_def, partition).get("encoder")
    return encoder is not None and encoder not in load_recipes()


def _held(partitions: Sequence[str]) -> str:
    if not partitions:
        return "nothing materialised yet"
    return f"{partitions[0]}: holds" if len(partitions) == 1 else f"holds for all {len(partitions)}"
