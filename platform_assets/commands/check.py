"""`lakeloom check`: the job `asset_checks`, as CI runs it."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from platform_assets.abandoned_runs import process_tag
from platform_assets.commands.runs import failure_of, logger_for, run_fault
from platform_assets.commands.state import State, open_instance
from platform_assets.definitions import build_defs


def check(state: State, show: Callable[[str], None]) -> dict[str, Any]:
    """Run every asset check on every partition; not ok if a blocking one or an error failed.

    A check that could not be carried out is a failed one.
    """
    defs = build_defs(loggers={"lakeloom": logger_for(show)})
    result = defs.resolve_job_def("asset_checks").execute_in_process(
        instance=open_instance(state.settings),
        run_config={"loggers": {"lakeloom": {}}},
        tags=process_tag(),
        raise_on_error=False,
    )
    if fault := run_fault(result):
        raise RuntimeError(fault)
    evaluated = result.get_asset_check_evaluations()
    checks = [_plain(found) for found in evaluated]
    checks += _broken(defs, result, {found.asset_check_key for found in evaluated})
    failed = any(not found["passed"] and found["severity"] == "ERROR" for found in checks)
    return {"ok": result.success and not failed, "checks": checks}


def _broken(
    defs: dg.Definitions, result: dg.ExecuteInProcessResult, evaluated: set[dg.AssetCheckKey]
) -> Iterator[dict[str, Any]]:
    """Checks that ended with an exception instead of a verdict; blocking ones raise after it."""
    raised = {
        event.step_key: failure_of(event) for event in result.all_events if event.is_step_failure
    }
    for checks in defs.asset_checks or ():
        for key in checks.check_keys:
            if checks.op.name in raised and key not in evaluated:
                yield {
                    "asset": key.asset_key.to_user_string(),
                    "check": key.name,
                    "passed": False,
                    "severity": dg.AssetCheckSeverity.ERROR.value,
                    "description": raised[checks.op.name],
                }


def _plain(found: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {
        "asset": found.asset_key.to_user_string(),
        "check": found.check_name,
        "passed": found.passed,
        "severity": found.severity.value,
        "description": found.description,
    }
