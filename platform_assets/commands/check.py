"""`lakeloom check`: the job `asset_checks`, as CI runs it."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from platform_assets.abandoned_runs import process_tag
from platform_assets.commands.runs import logger_for, run_fault
from platform_assets.commands.state import State, open_instance
from platform_assets.definitions import build_defs


def check(state: State, show: Callable[[str], None]) -> dict[str, Any]:
    """Run every asset check on every partition; not ok if a blocking one or an error failed."""
    defs = build_defs(loggers={"lakeloom": logger_for(show)})
    result = defs.resolve_job_def("asset_checks").execute_in_process(
        instance=open_instance(state.settings),
        run_config={"loggers": {"lakeloom": {}}},
        tags=process_tag(),
        raise_on_error=False,
    )
    if fault := run_fault(result):
        raise RuntimeError(fault)
    checks = [_plain(found) for found in result.get_asset_check_evaluations()]
    failed = any(not found["passed"] and found["severity"] == "ERROR" for found in checks)
    return {"ok": result.success and not failed, "checks": checks}


def _plain(found: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {
        "asset": found.asset_key.to_user_string(),
        "check": found.check_name,
        "passed": found.passed,
        "severity": found.severity.value,
        "description": found.description,
    }
