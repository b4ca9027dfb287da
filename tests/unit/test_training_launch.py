"""A launched command: its last words when it fails, and nothing of it left behind."""

import os
import re
import sys

import dagster as dg
import psutil
import pytest

from resources.training.launch import result_of, run

LEAVES_A_DAEMON = """
import subprocess, sys
daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
print("daemon", daemon.pid, flush=True)
sys.exit(int(sys.argv[1]))
"""


def test_a_failed_command_says_its_last_words_and_leaves_no_process() -> None:
    with pytest.raises(dg.Failure, match="ended with status 3; its last output:") as failure:
        run([sys.executable, "-c", LEAVES_A_DAEMON, "3"], os.environ)
    found = re.search(r"daemon (\d+)", str(failure.value))
    assert found
    assert not psutil.pid_exists(int(found[1])) or (
        psutil.Process(int(found[1])).status() == psutil.STATUS_ZOMBIE
    )


def test_a_command_that_was_killed_says_what_that_may_mean() -> None:
    with pytest.raises(dg.Failure, match=r"status -9: .*lower micro_batch.*; its last output:"):
        run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], os.environ)


def test_last_words_hold_no_secret() -> None:
    words = "import os; print('with', os.environ['AWS_SECRET_ACCESS_KEY']); raise SystemExit(1)"
    told = {**os.environ, "AWS_SECRET_ACCESS_KEY": "wJalr/K7"}
    with pytest.raises(dg.Failure, match=r"with \*\*\*$"):
        run([sys.executable, "-c", words], told)


def test_a_training_without_a_result_is_a_failure() -> None:
    with pytest.raises(dg.Failure, match="its worker never reported one"):
        result_of([])


def test_frames_of_a_jvm_do_not_hide_the_words_before_them() -> None:
    words = "print('no such file'); print('\\tat org.apache.X.run(X.scala:1)\\n' * 99); exit(1)"
    with pytest.raises(dg.Failure, match="no such file"):
        run([sys.executable, "-c", words], os.environ)
