"""Schedules: training, maintenance and the look at everything, which no upload starts."""

from collections.abc import Iterator

import dagster as dg

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.maintenance.assets import tables
from platform_assets.partitions import corpora


@dg.schedule(cron_schedule="0 2 * * 0", target=dg.AssetSelection.assets("training_pairs"))
def weekly_training_pairs(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Mine the training pairs of every corpus anew, ahead of the training. Off by default."""
    for corpus in context.instance.get_dynamic_partitions(corpora.name or ""):
        yield dg.RunRequest(
            run_key=f"{context.scheduled_execution_time}:{corpus}", partition_key=corpus
        )


@dg.schedule(cron_schedule="0 4 * * 0", target=dg.AssetSelection.assets("checkpoints"))
def weekly_training(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Train every recipe whose pairs have changed. Off by default."""
    for recipe in load_recipes().values():
        if recipe.training is not None:
            yield dg.RunRequest(
                run_key=f"{context.scheduled_execution_time}:{recipe.name}",
                partition_key=recipe.name,
            )


@dg.schedule(cron_schedule="0 3 * * *", target=dg.AssetSelection.assets("table_maintenance"))
def daily_maintenance(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Merge small files, expire snapshots and remove orphans of every table. Off by default."""
    for table in tables.get_partition_keys():
        yield dg.RunRequest(
            run_key=f"{context.scheduled_execution_time}:{table}", partition_key=table
        )


weekly_asset_checks = dg.ScheduleDefinition(
    name="weekly_asset_checks",
    cron_schedule="0 6 * * 0",
    job_name="asset_checks",
    description="Look at everything there is, not at what changed. Off by default.",
)
