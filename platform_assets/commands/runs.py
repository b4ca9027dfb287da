"""Runs of a command: what assets say while they run, and why a run ended early."""

import logging
from collections.abc import Callable

import dagster as dg


def logger_for(show: Callable[[str], None]) -> dg.LoggerDefinition:
    """A Dagster logger that passes on assets' own lines, without Dagster's events."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {})
            if meta.get("step_key") and not meta.get("dagster_event"):
                show(str(meta.get("orig_message") or record.getMessage()))

    @dg.logger
    def lakeloom(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.getLogger("lakeloom")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [Handler()]
        return logger

    return lakeloom


def failure_of(event: dg.DagsterEvent) -> str:
    """Why a step failed, from its failure event."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error.cause if data.error and data.error.cause else data.error
    return error.message.strip() if error else "failed"


def run_fault(result: dg.ExecuteInProcessResult) -> str | None:
    """Why a run ended before any step could, such as a layer that cannot be reached."""
    events = result.all_events
    if any(event.is_step_failure for event in events):
        return None
    for event in events:
        if event.is_job_failure:
            error = event.job_failure_data.error
            return error.cause.message if error and error.cause else str(error and error.message)
    return None
