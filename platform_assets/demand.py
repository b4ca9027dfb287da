"""Configuration of what runs on demand: training and its pairs."""

import dagster as dg
from pydantic import Field


class OnDemand(dg.Config):
    """Training runs when it is asked for, never because one file changed."""

    only_if_missing: bool = Field(
        False, description="Keep what there is, although its upstream has changed."
    )
