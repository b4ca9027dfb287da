"""News of failed runs, on a local receiver: shapes, bounded attempts, nothing secret in errors."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from platform_assets.commands.state import State
from resources import registry
from resources.notifications import Failure
from resources.notifications.webhook import ATTEMPTS, Webhook, plain, slack
from resources.secrets import without_secrets
from resources.settings import Settings, UsageError
from sensors.failed_runs import failed_runs
from tests.servers import free_ports
from tests.servers.inbox import Inbox, inbox

FAILURE = Failure(
    "0123456789abcdef", "", ("chunks",), "birds", "ValueError: a < b & c", "https://ui/runs/0123"
)
SECRET = "T0000/B0000/planted-path-token"


@pytest.fixture
def received() -> Iterator[Inbox]:
    with inbox() as box:
        yield box


def test_plain_json(received: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELOOM_NOTIFY_TOKEN", "planted-token")
    Webhook(f"{received.url}/x", plain).tell(FAILURE)
    (body,) = received.came
    assert body == {
        "event": "run_failed",
        "run_id": "0123456789abcdef",
        "job": "",
        "steps": ["chunks"],
        "partition": "birds",
        "reason": "ValueError: a < b & c",
        "link": "https://ui/runs/0123",
    }
    assert received.headers[0]["Authorization"] == "Bearer planted-token"


def test_slack_has_a_title_blocks_and_escapes(received: Inbox) -> None:
    Webhook(received.url, slack).tell(FAILURE)
    (body,) = received.came
    assert body["text"] == "Failed: chunks [birds]"
    header, section, context = body["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "Failed: chunks [birds]"}
    assert section["text"]["text"] == "```ValueError: a &lt; b &amp; c```"
    assert context["elements"][0]["text"] == "run <https://ui/runs/0123|01234567>"


def test_it_is_sent_again_when_the_receiver_is_busy(received: Inbox) -> None:
    received.answers = [(503, {}), (429, {"Retry-After": "0"})]
    Webhook(received.url, plain, pause_seconds=0).tell(FAILURE)
    assert len(received.came) == 3


def test_attempts_are_bounded(received: Inbox) -> None:
    received.answers = [(503, {})] * 10
    with pytest.raises(RuntimeError, match=r"127.0.0.1 did not take .* status 503; .*NOTIFY"):
        Webhook(received.url, plain, pause_seconds=0).tell(FAILURE)
    assert len(received.came) == ATTEMPTS


@pytest.mark.parametrize("status", [400, 404, 302])
def test_a_refusal_is_final(received: Inbox, status: int) -> None:
    received.answers = [(status, {"Location": f"{received.url}/elsewhere"})] * 10
    with pytest.raises(RuntimeError, match=f"status {status}"):
        Webhook(received.url, plain, pause_seconds=0).tell(FAILURE)
    assert len(received.came) == 1


def test_an_answer_that_is_no_http_is_a_fault_like_others(received: Inbox) -> None:
    received.protocol = "garbage"
    with pytest.raises(RuntimeError, match="BadStatusLine"):
        Webhook(f"{received.url}/{SECRET}", plain, pause_seconds=0).tell(FAILURE)
    assert len(received.came) == ATTEMPTS


def test_a_query_and_a_long_path_are_secret_and_a_plain_word_is_none() -> None:
    env = {"LAKELOOM_NOTIFY": "https://host/lakeloom?sig=planted-signature%3D&mode=json"}
    said = without_secrets(f"lakeloom json {env['LAKELOOM_NOTIFY']} planted-signature=", env)
    assert said == "lakeloom json https://host/lakeloom?*** ***"


def test_errors_do_not_show_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/services/{SECRET}"
    with pytest.raises(RuntimeError) as raised:
        Webhook(url, slack, pause_seconds=0).tell(FAILURE)
    assert SECRET not in str(raised.value)
    monkeypatch.setenv("LAKELOOM_NOTIFY", f"slack+{url}")
    assert SECRET not in without_secrets(f"cannot reach {url}")


@pytest.mark.parametrize(
    "url",
    [
        f"https:///services/{SECRET}",
        f"smtp://host/{SECRET}",
        f"https://host/a {SECRET}",
        f"https://host/a\t{SECRET}",
        f"https://host/\u00fc{SECRET}",
        f"https://host:{SECRET}",
        f"slack+https://someone:{SECRET.replace('/', '')}@host/",
    ],
)
def test_an_unusable_address_is_a_clear_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELOOM_NOTIFY", url)
    with pytest.raises(UsageError, match="LAKELOOM_NOTIFY") as raised:
        registry.connect_notifier(Settings.from_env())
    assert SECRET not in str(raised.value)


@dg.asset
def broken() -> None:
    raise ValueError("the password is planted-password")


def _ticked(notifier: Any, tags: dict[str, str]) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([broken], instance=instance, raise_on_error=False, tags=tags)
        (record,) = instance.get_records_for_run(
            done.run_id, of_type=dg.DagsterEventType.RUN_FAILURE
        ).records
        event = record.event_log_entry.get_dagster_event()
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=done.dagster_run if not tags else instance.get_run_by_id(done.run_id),
        ).for_run_failure()
        return failed_runs(context, notifier=notifier)


def test_the_sensor_tells_what_failed_and_why(
    received: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "planted-password")
    monkeypatch.setenv("LAKELOOM_UI_URL", "https://ui.internal/")
    assert _ticked(Webhook(received.url, plain), {}) is None
    (body,) = received.came
    assert body["steps"] == ["broken"]
    assert body["reason"] == "ValueError: the password is ***"
    assert body["link"] == f"https://ui.internal/runs/{body['run_id']}"


def test_a_run_that_will_be_retried_is_not_told_of(received: Inbox) -> None:
    skipped = _ticked(Webhook(received.url, plain), {"dagster/will_retry": "true"})
    assert isinstance(skipped, dg.SkipReason)
    assert received.came == []


def test_a_dead_receiver_costs_a_warning() -> None:
    (port,) = free_ports(1)
    skipped = _ticked(Webhook(f"http://127.0.0.1:{port}", plain, pause_seconds=0), {})
    assert isinstance(skipped, dg.SkipReason)
    assert "LAKELOOM_NOTIFY" in str(skipped.skip_message)


def test_nobody_is_told_by_default(tmp_path: Any) -> None:
    settings = Settings.from_env({"LAKELOOM_HOME": str(tmp_path)})
    registry.connect_notifier(State(settings).settings).tell(FAILURE)
