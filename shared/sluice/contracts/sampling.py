"""How answers are drawn: what a request leaves open, and limits on what it may say."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sluice.contracts.base import Reply

SamplingPreset = Literal["greedy", "factual", "creative"]


class SamplingPolicy(Reply):
    """How answers are drawn: what a request leaves open, and limits on what it may say.

    `greedy` takes the most likely token, `factual` stays close to it, `creative` draws widely; the values are in
    docs/reference/sampling.md, and `temperature` and `top_p` replace them. A request outside the limits is refused. `max_tokens` also
    holds for requests that name none.
    """

    preset: SamplingPreset | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    min_temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_temperature: Annotated[float, Field(ge=0, le=2)] = 2.0
    min_top_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_top_k: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None


class SamplingConfig(SamplingPolicy):
    """How answers are drawn: what a request leaves open, and limits on what it may say."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"temperature": 0.3, "max_tokens": 800}]})

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.min_temperature > self.max_temperature:
            raise ValueError("min_temperature is above max_temperature, so that no request would be left")
        if self.min_top_p > self.max_top_p:
            raise ValueError("min_top_p is above max_top_p, so that no request would be left")
        return self
