"""The training worker, which stands still in the middle until it is ended from outside."""

import signal

from resources.training.worker import main
from tests.faults.killed_run import STOPS, arm

if __name__ == "__main__":
    arm(STOPS["while training"], signal.pause)
    main()
