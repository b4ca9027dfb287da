"""Automation conditions: how an upload is carried through to the published index.

Here: the conditions assets share. Not here: the sensors that see uploads (sensors/).
"""

import dagster as dg

_quiet = ~dg.AutomationCondition.in_progress() & ~dg.AutomationCondition.any_deps_in_progress()
_upstream_changed = dg.AutomationCondition.any_deps_updated().since_last_handled()
_appeared = dg.AutomationCondition.missing().newly_true().since_last_handled()

ON_CHANGE = (
    (_upstream_changed | _appeared) & ~dg.AutomationCondition.any_deps_missing() & _quiet
).with_label("when an upstream changed and all are there")
"""For assets that need every upstream partition."""

ON_ANY_CHANGE = (_upstream_changed & _quiet).with_label("when any upstream changed")
"""For assets that summarise whichever encoders there are."""
