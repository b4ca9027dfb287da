"""Automation conditions: how an upload is carried through to the published index.

Here: the conditions assets share. Not here: the sensors that see uploads (sensors/).
A wave goes on only from an upstream whose content changed (its data version), so an upload of what
was there already ends at the manifest.
"""

import dagster as dg

_Is = dg.AutomationCondition

_upstream_changed = _Is.any_deps_match(
    (_Is.data_version_changed() & ~_Is.executed_with_root_target()) | _Is.will_be_requested()
).since_last_handled()
_appeared = _Is.missing().newly_true().since_last_handled()
_quiet = ~_Is.in_progress() & ~_Is.any_deps_in_progress()

ON_CHANGE = ((_upstream_changed | _appeared) & ~_Is.any_deps_missing() & _quiet).with_label(
    "when an upstream changed and all are there"
)
"""For assets that need every upstream partition."""

ON_ANY_CHANGE = (_upstream_changed & _quiet).with_label("when any upstream changed")
"""For assets that summarise whichever encoders there are."""

HOURLY = (_upstream_changed & _quiet & _Is.cron_tick_passed("0 * * * *")).with_label(
    "on the hour, when any upstream changed"
)
"""Like `ON_ANY_CHANGE`, for what need not follow each upload."""
