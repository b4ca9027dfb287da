"""The sensor that tells people of failed runs.

A receiver that is down costs a warning and the notice, never a tick: the failure itself stays in
Dagster's storage, from which the metrics count it.
Not here: how news is carried (resources/notifications).
"""

import os
from collections.abc import Iterable

import dagster as dg

from resources.notifications import SILENT, Failure, Notifier
from resources.secrets import without_secrets
from resources.settings import Settings

UI_VARIABLE = "LAKELOOM_UI_URL"
LONGEST_REASON = 1_000


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.STOPPED
    if Settings.from_env().notify == SILENT
    else dg.DefaultSensorStatus.RUNNING,
)
def failed_runs(
    context: dg.RunFailureSensorContext, notifier: dg.ResourceParam[Notifier]
) -> dg.SkipReason | None:
    """Tell of a run that failed, unless Dagster is about to start it again."""
    if context.dagster_run.tags.get("dagster/will_retry") == "true":
        return dg.SkipReason("it will be retried")
    try:
        notifier.tell(failure_of(context))
    except RuntimeError as error:
        context.log.warning(str(error))
        return dg.SkipReason(str(error))
    return None


def failure_of(context: dg.RunFailureSensorContext) -> Failure:
    """What there is to tell: which steps, which partition, why, and where to look."""
    run, steps = context.dagster_run, context.get_step_failure_events()
    ui = os.environ.get(UI_VARIABLE, "").rstrip("/")
    return Failure(
        run_id=run.run_id,
        job="" if run.job_name.startswith("__") else run.job_name,
        steps=tuple(dict.fromkeys(step.step_key or "" for step in steps)),
        partition=run.tags.get("dagster/partition", ""),
        reason=_reason(steps) or _short(context.failure_event.message or "no reason was given"),
        link=f"{ui}/runs/{run.run_id}" if ui else "",
    )


def _reason(steps: Iterable[dg.DagsterEvent]) -> str:
    """What was raised, the innermost error of each step."""
    said = []
    for step in steps:
        error = step.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            said.append(error.message.strip())
    return _short("\n".join(dict.fromkeys(said)))


def _short(text: str) -> str:
    return without_secrets(text)[:LONGEST_REASON]
