"""The two bases of every wire shape."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]


def rounded_usd(dollars: float) -> float:
    """Return US dollars without the noise of binary fractions (0.1 + 0.2), which begins far behind what a token costs."""
    return round(dollars, 12)


Usd = Annotated[float, AfterValidator(rounded_usd)]
"""What something came to, in US dollars."""


class Request(BaseModel):
    """What a caller sends; an unknown field is the caller's mistake and is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reply(BaseModel):
    """What a service answers or publishes; unknown fields are ignored, so that old readers accept new writers."""

    model_config = ConfigDict(frozen=True, extra="ignore")
