"""How often the sensors look at the lake."""

import os


def _poll_seconds() -> int:
    value = os.environ.get("LAKELOOM_POLL_SECONDS", "30")
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"LAKELOOM_POLL_SECONDS={value!r} is no number of seconds: set 1 or more")
    return int(value)


POLL_SECONDS = _poll_seconds()
"""Seconds between two looks; the daemon looks at most every 5 seconds."""
