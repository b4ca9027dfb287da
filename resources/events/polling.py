"""No events at all: the default, in which the bucket sensor finds everything by polling."""

from resources.events import Batch


class PollingOnly:
    """A queue that is always empty."""

    def receive(self) -> Batch:
        """No notices."""
        return Batch()

    def acknowledge(self, _: str) -> None:
        """There is nothing to forget."""
