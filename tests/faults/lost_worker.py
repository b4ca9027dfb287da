"""The training worker, which is lost in the middle; the run that launched it goes on."""

from resources.training.worker import main
from tests.faults.killed_run import STOPS, arm

if __name__ == "__main__":
    arm(STOPS["while training"], lambda: None)
    main()
