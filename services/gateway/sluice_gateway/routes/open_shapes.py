"""What the shapes of the request path share."""

from pydantic import BaseModel, ConfigDict


class Open(BaseModel):
    """A shape of OpenAI's API; fields that are not listed pass through to the provider."""

    model_config = ConfigDict(extra="allow")
