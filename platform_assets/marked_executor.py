"""The executor of launched runs: Dagster's in-process one, which says who executes, and waits.

Where LAKELOOM_STEPS says so, dagster-k8s's own takes its place, with a container for each step.

Dagster's launcher for one machine cannot tell a run that works from one whose process was killed
together with the code server, so that run would keep its corpus busy for ever.
Not here: who ends such runs (abandoned_runs.py), what a run waits for (holds.py).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.errors import raise_execution_interrupts
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from platform_assets.abandoned_runs import process_tag
from platform_assets.holds import let_commands_end
from resources.settings import UsageError

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan


class MarkedExecutor(InProcessExecutor):
    """Marks the run with its process, lets commands on its corpus end, then executes it."""

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        """Steps' events."""
        run, instance = plan_context.dagster_run, plan_context.instance
        instance.add_run_tags(run.run_id, process_tag(run.run_id))
        with raise_execution_interrupts():  # or a run that is cancelled would wait on
            let_commands_end(instance, run, plan_context.log.info)
        yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process")
def marked_executor(_: dg.InitExecutorContext) -> MarkedExecutor:
    """Executes all steps in one process, which the run's tag names."""
    return MarkedExecutor(RetryMode.ENABLED)


STEPS = "LAKELOOM_STEPS"
"""Where the steps of a run execute; settled when the code location is loaded."""


def executor_of(told: str) -> dg.ExecutorDefinition:
    """The executor that `in_process`, the default, or `kubernetes` names.

    Raises:
        UsageError: it is neither.
    """
    if told == "kubernetes":
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor
    if told not in ("", "in_process"):
        raise UsageError(f"{STEPS}={told!r} is neither in_process nor kubernetes")
    return marked_executor
