"""What assets say while they run, shown to whoever called the command."""

import logging
from collections.abc import Callable

import dagster as dg


def logger_for(show: Callable[[str], None]) -> dg.LoggerDefinition:
    """A Dagster logger that passes on assets' own lines, without Dagster's events."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {})
            if not meta.get("dagster_event"):
                show(str(meta.get("orig_message") or record.getMessage()))

    @dg.logger
    def lakeloom(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.getLogger("lakeloom")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [Handler()]
        return logger

    return lakeloom
