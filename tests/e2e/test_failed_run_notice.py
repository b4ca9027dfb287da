"""The real daemon tells a receiver of a failed run, and lives on while the receiver is dead."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from platform_assets.commands.state import open_instance
from tests.e2e.test_upload_to_search import CORPUS, Daemon, Lake
from tests.servers import free_ports
from tests.servers.inbox import inbox

pytestmark = pytest.mark.slow


def test_a_dead_receiver_is_survived_and_a_living_one_told(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    lake = Lake(tmp_path)
    lake.drop("owl.md", "# The Barn Owl\n\nIt hunts voles.\n")
    with Daemon(
        tmp_path,
        LAKELOOM_NOTIFY=f"http://127.0.0.1:{port}/services/planted-path-token",
        LAKELOOM_CHUNK_MAX_TOKENS="no-number",
    ) as daemon:
        daemon.until("the webserver", daemon.answers)
        instance = open_instance(lake.state.settings)
        daemon.until("a notice that nobody takes", lambda: _undelivered(instance))
        with inbox(port) as received:
            lake.drop("eel.md", "# The Eel\n\nIt crosses the Atlantic.\n")
            daemon.until("a notice", lambda: received.came)
    (body, *_) = received.came
    assert (body["steps"], body["partition"]) == (["chunks"], CORPUS)
    assert "LAKELOOM_CHUNK_MAX_TOKENS" in body["reason"]
    assert "planted-path-token" not in daemon.log.read_text()


def _undelivered(instance: dg.DagsterInstance) -> bool:
    """Whether a tick ended with a notice that could not be delivered."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    ticks = [
        tick
        for state in states
        if state.name == "failed_runs"
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
    ]
    assert not [tick for tick in ticks if tick.status == TickStatus.FAILURE]
    return any("did not take a notice" in (tick.skip_reason or "") for tick in ticks)
