"""Where the steps of a run execute, by LAKELOOM_STEPS."""

import pytest

from platform_assets.marked_executor import executor_of, marked_executor
from resources.settings import UsageError


def test_steps_share_a_process_unless_told_otherwise() -> None:
    assert executor_of("") is executor_of("in_process") is marked_executor


def test_steps_get_containers_from_dagster_k8s_itself() -> None:
    from dagster_k8s import k8s_job_executor

    assert executor_of("kubernetes") is k8s_job_executor


def test_a_wrong_name_is_told() -> None:
    with pytest.raises(UsageError, match="LAKELOOM_STEPS='docker' is neither"):
        executor_of("docker")
