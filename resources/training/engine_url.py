"""What an engine's URL may say: `scheme://address?parameter=value&...`.

Here: reading and checking the parameters. Not here: which scheme is which (systems.py).
"""

from typing import Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from resources.settings import UsageError
from resources.training import Resources


class EngineOptions(BaseModel):
    """Parameters of an engine, one field each; `address` is what stands after the `//`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            UsageError: a parameter is unknown or wrong; names it and those there are.
        """
        parts = urlsplit(url)
        found = dict(parse_qsl(parts.query, keep_blank_values=True))
        if address := parts.netloc + parts.path.rstrip("/"):
            found["address"] = address
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise UsageError(
                f"the training engine {parts.scheme}://: {'; '.join(faults)}; "
                f"it takes {', '.join(cls.model_fields)}"
            ) from error


class ProcessesOfOneMachine(EngineOptions):
    """Parameters of an engine that trains in processes of this machine."""

    processes: PositiveInt = 1
    """Each has a GPU of its own where there is one; on CPU more than one rarely pays."""

    def check(self, asked: Resources) -> None:
        """See that a recipe, if it asks for GPUs, asks for as many as there are processes.

        Raises:
            UsageError: it asks for another number.
        """
        if asked.gpus and asked.gpus != self.processes:
            raise UsageError(
                f"the recipe asks for {asked.gpus} GPUs, but the training engine's URL for "
                f"{self.processes} processes, each with a GPU: set gpus = {self.processes} in the "
                f"recipe, or ?processes={asked.gpus} in the URL"
            )
