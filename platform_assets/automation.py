"""Automation conditions: how an upload is carried through to the published index.

Here: the conditions assets share. Not here: the sensors that see uploads (sensors/).
A wave goes on only from an upstream whose content changed (its data version), so an upload of what
was there already ends at the manifest, and only after the run that made it held its blocking
checks: what a failed check stopped within a run is not taken up by another.
"""

from collections.abc import Mapping

import dagster as dg

from platform_assets.checkpoints.recipes import Recipe, load_recipes
from platform_assets.holds import held
from platform_assets.partitions import encoders

_Is = dg.AutomationCondition


class BlockedByCheck(dg.AutomationCondition[dg.AssetKey]):
    """True for a partition whose last run was not over at the tick, or failed a blocking check."""

    @property
    def name(self) -> str:
        """Name in the UI."""
        return "blocked_by_check"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Look up the run of each partition that the conditions before this one let through."""
        candidates = context.candidate_subset
        instance = context.asset_graph_view.instance
        tick = context.evaluation_time.timestamp()
        blocked = {
            partition
            for partition in candidates.expensively_compute_partition_keys()
            if _blocked(instance, context.key, partition, tick)
        }
        return dg.AutomationResult(
            context, candidates.compute_intersection_with_partition_keys(blocked)
        )


class HeldByCommand(dg.AutomationCondition[dg.AssetKey]):
    """True for the partitions of a corpus that a command works on, which makes them itself."""

    @property
    def name(self) -> str:
        """Name in the UI."""
        return "held_by_command"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Look up the marks of the corpora that the conditions before this one let through."""
        candidates = context.candidate_subset
        by_encoder = (
            context.asset_graph_view.asset_graph.get(context.key).partitions_def == encoders
        )
        keys = set() if by_encoder else set(candidates.expensively_compute_partition_keys())
        named = {key: key.split("|")[0] for key in keys}
        found = held(context.asset_graph_view.instance, set(named.values()))
        return dg.AutomationResult(
            context,
            candidates.compute_intersection_with_partition_keys(
                {key for key, corpus in named.items() if corpus in found}
            ),
        )


class RecipeChanged(dg.AutomationCondition[dg.AssetKey]):
    """True for an encoder whose recipe is not the one that was materialised last."""

    @property
    def name(self) -> str:
        """Name in the UI."""
        return "recipe_changed"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Compare recipes.toml with the data version of each partition."""
        candidates = context.candidate_subset
        instance = context.asset_graph_view.instance
        changed = {
            encoder
            for encoder, recipe in _readable_recipes().items()
            if recipe.digest != _data_version(instance, context.key, encoder)
        } & set(candidates.expensively_compute_partition_keys())
        return dg.AutomationResult(
            context, candidates.compute_intersection_with_partition_keys(changed)
        )


def _readable_recipes() -> Mapping[str, Recipe]:
    """The recipes, or none while the file is being edited: one bad line must stop no upload."""
    try:
        return load_recipes()
    except (OSError, ValueError):
        return {}


def _data_version(instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str) -> str | None:
    records = dg.AssetRecordsFilter(asset, asset_partitions=[partition])
    made = instance.fetch_materializations(records, limit=1).records
    found = made[0].asset_materialization if made else None
    return found.tags.get("dagster/data_version") if found and found.tags else None


def _blocked(instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str, tick: float) -> bool:
    records = dg.AssetRecordsFilter(asset, asset_partitions=[partition])
    made = instance.fetch_materializations(records, limit=1).records
    run = instance.get_run_record_by_id(made[0].run_id) if made else None
    if run is None:
        return False
    # All assets of a tick see a run in the same state, or they would start in runs of their own.
    if run.end_time is None or run.end_time > tick:
        return True
    checked = instance.get_records_for_run(
        made[0].run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    events = (record.event_log_entry.get_dagster_event() for record in checked)
    found = (event.asset_check_evaluation_data for event in events)
    return any(each.asset_key == asset and each.blocking and not each.passed for each in found)


_unlike_before = _Is.data_version_changed() & ~_Is.executed_with_root_target()
_upstream_changed = _Is.any_deps_match(_unlike_before | _Is.will_be_requested())
_appeared = _Is.missing().newly_true()
_quiet = (
    ~_Is.in_progress()
    & ~_Is.any_deps_in_progress()
    & ~HeldByCommand()
    & ~_Is.any_deps_match(BlockedByCheck())
).with_label("nothing is in progress, held by a command or blocked by a check")

ON_NEW_RECIPE = (RecipeChanged().newly_true() & ~_Is.in_progress()).with_label(
    "when recipes.toml says something new"
)
"""For the asset that holds what is declared; what follows from it is made on demand."""

ON_CHANGE = (
    (_upstream_changed | _appeared).since_last_handled() & ~_Is.any_deps_missing() & _quiet
).with_label("when an upstream changed and all are there")
"""For assets that need every upstream partition."""

# Chunks and checkpoints are left out: embeddings follow from both, and are waited for.
_measured = _Is.any_deps_updated().ignore(dg.AssetSelection.assets("chunks", "checkpoints"))

ON_ANY_UPDATE = (_measured.since_last_handled() & _quiet).with_label("when any upstream was made")
"""For assets that summarise whichever encoders there are."""

HOURLY = (ON_ANY_UPDATE & _Is.cron_tick_passed("0 * * * *")).with_label(
    "on the hour, when any upstream was made"
)
"""Like `ON_ANY_UPDATE`, for what need not follow each upload."""
