"""Seeing that no process of a training outlives what launched it.

Here: what runs inside the launched process, also where nothing but the standard library is there.
Not here: launching (training/launch.py, classifiers/launch.py).
"""

import os
import threading


def end_with_launcher() -> None:
    """End this process as soon as its launcher is gone, even by `kill -9`.

    Standard input is a pipe that the launcher holds open and never writes to.
    """

    def watch() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
