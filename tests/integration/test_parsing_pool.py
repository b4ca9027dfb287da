"""The guarded pool with parsers that hang, eat memory, die: the others are parsed all the same."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from resources.parsing import ParsedDocument, Rejection, RejectionReason
from resources.parsing.pool import GuardedParser
from resources.parsing.process import Limits

PLANTED = "tests.integration.planted_parsers:Planted"
GOOD = [(f"good{number}", b"x") for number in range(6)]


SMALL = Limits(memory_bytes=300 << 20)


def planted(workers: int = 2, limits: Limits = SMALL) -> GuardedParser:
    return GuardedParser(limits=limits, workers=workers, parser=PLANTED)


def text(outcome: ParsedDocument | Rejection) -> str:
    assert isinstance(outcome, ParsedDocument), outcome
    return outcome.elements[0].text


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("key", "reason", "message"),
    [
        ("spin", RejectionReason.TIMEOUT, "not parsed within 1 seconds"),
        ("eat", RejectionReason.OUT_OF_MEMORY, "more than 300 MiB"),
        ("die", RejectionReason.CRASHED, "Aborted"),
        ("recurse", RejectionReason.CORRUPT, "nested too deeply"),
        ("refuse", RejectionReason.UNSUPPORTED, "not today"),
        ("fail", RejectionReason.CORRUPT, "ZeroDivisionError: by ? zero"),
    ],
)
def test_a_bad_document_is_rejected_alone(
    workers: int, key: str, reason: RejectionReason, message: str
) -> None:
    documents = [*GOOD[:3], (key, b"x"), *GOOD[3:]]
    outcomes = dict(
        planted(workers, replace(SMALL, seconds=1 if key == "spin" else 60)).parse(documents)
    )
    verdict = outcomes.pop(key)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is reason
    assert message in verdict.message
    assert {name for name, outcome in outcomes.items() if text(outcome)} == dict(GOOD).keys()


def test_a_document_is_not_condemned_for_what_an_earlier_one_left_behind() -> None:
    documents = [(f"leak.{number}", b"x") for number in range(5)]
    outcomes = list(planted(workers=1).parse(documents))
    assert [(key, text(outcome)) for key, outcome in outcomes] == [
        (key, "leaked") for key, _ in documents
    ]


def test_a_worker_that_is_killed_is_replaced_and_its_document_tried_again() -> None:
    found: list[str] = []
    for _, outcome in planted(workers=1).parse(GOOD):
        found.append(text(outcome))
        if len(found) == 1:
            os.kill(int(found[0]), signal.SIGKILL)
    assert len(found) == len(GOOD)
    assert found[-1] != found[0]


def test_what_a_hanging_parser_started_dies_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    [(_, verdict)] = planted(limits=Limits(seconds=3)).parse(
        [("spawn_and_wait", str(note).encode())]
    )
    assert isinstance(verdict, Rejection)
    assert verdict.reason is RejectionReason.TIMEOUT
    assert _is_gone(int(note.read_text()))


def test_output_of_a_library_does_not_reach_the_answers() -> None:
    outcomes = dict(planted(workers=1).parse([("chatter", b"x"), ("good", b"x")]))
    assert text(outcomes["chatter"]) == ""
    assert text(outcomes["good"]).isdigit()


def test_workers_are_reused_and_no_more_than_documents() -> None:
    assert len({text(o) for _, o in planted(workers=1).parse(GOOD)}) == 1
    assert len({text(o) for _, o in planted(workers=2).parse(GOOD)}) <= 2
    assert list(planted(workers=2).parse([])) == []


def test_documents_are_read_as_they_are_parsed() -> None:
    pulled = done = 0

    def documents() -> Iterator[tuple[str, bytes]]:
        nonlocal pulled
        for number in range(40):
            pulled += 1
            yield str(number), b"x" * 100_000

    for _ in planted(workers=2).parse(documents()):
        done += 1
        assert pulled - done <= 5
    assert done == 40


def test_closing_the_iterator_ends_the_workers() -> None:
    outcomes = planted(workers=1).parse(GOOD)
    _, first = next(outcomes)
    outcomes.close()
    assert _is_gone(int(text(first)))


def test_an_error_of_the_source_ends_the_workers() -> None:
    def documents() -> Iterator[tuple[str, bytes]]:
        yield from GOOD
        raise OSError("the bucket is gone")

    found: list[str] = []
    with pytest.raises(OSError, match="bucket"):
        found.extend(text(outcome) for _, outcome in planted(workers=1).parse(documents()))
    assert not [c for c in psutil.Process().children() if "resources.parsing.worker" in c.cmdline()]


def test_a_large_document_is_rejected_unread() -> None:
    parser = planted(limits=Limits(document_bytes=10))
    outcomes = dict(parser.parse([("good", b"x" * 10), ("large", b"x" * 11)]))
    assert text(outcomes["good"])
    assert outcomes["large"] == Rejection(RejectionReason.TOO_LARGE, "11 bytes, more than 10")


def test_a_parser_that_cannot_be_imported_is_no_fault_of_the_documents() -> None:
    parser = GuardedParser(parser="tests.integration.planted_parsers:Nothing")
    with pytest.raises(RuntimeError, match="could not start"):
        list(parser.parse(GOOD))


def test_workers_get_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    [(_, outcome)] = planted().parse([("environment", b"x")])
    assert "PATH" in text(outcome).split()
    assert "AWS_SECRET_ACCESS_KEY" not in text(outcome)


def test_the_fingerprint_covers_limits_and_parser() -> None:
    fingerprint = GuardedParser().fingerprint
    assert GuardedParser(workers=7).fingerprint == fingerprint
    assert GuardedParser(limits=Limits(seconds=7)).fingerprint != fingerprint
    assert GuardedParser(parser=PLANTED).fingerprint != fingerprint


def _is_gone(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE or process.wait(timeout=10) is None
    except psutil.NoSuchProcess:
        return True
