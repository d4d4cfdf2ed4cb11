"""`sampling` of a policy in models.yaml."""

from typing import Self

from pydantic import model_validator

from sluice.contracts.routing import SamplingPolicy


class SamplingConfig(SamplingPolicy, frozen=True, extra="forbid"):
    """How answers are drawn: a preset for what a request leaves open, and limits on what it may say."""

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.min_temperature > self.max_temperature:
            raise ValueError("min_temperature is above max_temperature, so that no request would be left")
        if self.min_top_p > self.max_top_p:
            raise ValueError("min_top_p is above max_top_p, so that no request would be left")
        return self
