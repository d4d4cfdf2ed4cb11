"""Requests and answers of images, speech and transcripts, as OpenAPI describes them."""

from typing import Annotated, Any

from pydantic import Field

from sluice_gateway.dataplane.extension import SluiceOptions
from sluice_gateway.routes.open_shapes import Open


class ImageRequest(Open):
    """What an image shall show; `size`, `quality` and the like pass through."""

    model: str = Field(description="a model of kind `image`, or a route of such")
    prompt: Annotated[str, Field(min_length=1, max_length=100_000)]
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stream: bool = False
    sluice: SluiceOptions | None = None


class ImageReply(Open):
    """The images; with `stream` they come as events."""

    created: int
    data: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


class SpeechRequest(Open):
    """What shall be spoken; `voice`, `response_format`, `speed` and the like pass through."""

    model: str = Field(description="a model of kind `speech`, or a route of such")
    input: Annotated[str, Field(min_length=1, max_length=100_000)]
    sluice: SluiceOptions | None = None


class EditRequest(Open):
    """Images and what shall become of them, as a form; fields that are not listed pass through."""

    model: str = Field(description="a model of kind `image`, or a route of such")
    image: Annotated[str, Field(json_schema_extra={"format": "binary"})]
    prompt: Annotated[str, Field(max_length=100_000)] | None = None


class TranscriptionRequest(Open):
    """A recording that shall be written down, as a form; fields that are not listed pass through."""

    model: str = Field(description="a model of kind `transcription`, or a route of such")
    file: Annotated[str, Field(json_schema_extra={"format": "binary"})]
    prompt: Annotated[str, Field(max_length=100_000)] | None = None
    response_format: str | None = None
    stream: bool = False


class TranscriptionReply(Open):
    """What was said; with another `response_format` it is text or subtitles, with `stream` events."""

    text: str
    usage: dict[str, Any] | None = None
