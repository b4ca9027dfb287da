"""The executor of launched runs: Dagster's in-process one, which says who executes.

Dagster's launcher for one machine cannot tell a run that works from one whose process was killed
together with the code server, so that run would keep its corpus busy for ever.
Not here: who ends such runs (abandoned_runs.py).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from platform_assets.abandoned_runs import process_tag

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan


class MarkedExecutor(InProcessExecutor):
    """Marks the run with its process, then executes it."""

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        """Steps' events."""
        run_id = plan_context.dagster_run.run_id
        plan_context.instance.add_run_tags(run_id, process_tag(run_id))
        yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process")
def marked_executor(_: dg.InitExecutorContext) -> MarkedExecutor:
    """Executes all steps in one process, which the run's tag names."""
    return MarkedExecutor(RetryMode.ENABLED)
