"""The training worker, which kills the run that launched it and itself in the middle."""

import os
import signal

from resources.training.worker import main
from tests.faults.killed_run import STOPS, arm

if __name__ == "__main__":
    arm(STOPS["while training"], lambda: os.kill(os.getppid(), signal.SIGKILL))
    main()
