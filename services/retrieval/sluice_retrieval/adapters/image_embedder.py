"""A multimodal embedding model behind `POST /embeddings`, as Jina's API and vLLM speak it."""

import base64
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.clients.http import Transport
from sluice.clients.models import ModelEndpoint
from sluice.errors import UpstreamFailed
from sluice_retrieval.domain.image_vectors import image_space

ImageApi = Literal["jina", "vllm"]


class _Question(BaseModel):
    model: str
    input: list[dict[str, str]] | str | None = None
    messages: list[dict[str, Any]] | None = None
    encoding_format: str | None = None


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore")
    embedding: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: Annotated[tuple[_Item, ...], Field(min_length=1, max_length=1)]


class HttpImageEmbedder:
    """The `ImageEmbedder` port over HTTP.

    With `jina`, inputs are `{"image": base64}` and `{"text": …}` (Jina's API and what follows it). With `vllm`, an image is the message of a user with an
    `image_url`, a text is a plain `input`. Vectors are brought to length 1; one of another length than configured is never stored.
    """

    def __init__(
        self, transport: Transport, url: str, model: str, dimensions: int, api: ImageApi, api_key: str, timeout_s: float
    ) -> None:
        self.space = image_space(model, dimensions)
        self._endpoint = ModelEndpoint(transport, url, "/embeddings", api_key, "image embedding model")
        self._model = model
        self._dimensions = dimensions
        self._api = api
        self._timeout_s = timeout_s

    async def of_image(self, picture: bytes) -> tuple[float, ...]:
        """Return the vector of a WebP."""
        shown = base64.b64encode(picture).decode()
        if self._api == "jina":
            return await self._asked(_Question(model=self._model, input=[{"image": shown}]))
        content = [{"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{shown}"}}]
        said = [{"role": "user", "content": content}]
        return await self._asked(_Question(model=self._model, messages=said, encoding_format="float"))

    async def of_text(self, text: str) -> tuple[float, ...]:
        """Return the vector of a text."""
        if self._api == "jina":
            return await self._asked(_Question(model=self._model, input=[{"text": text}]))
        return await self._asked(_Question(model=self._model, input=text, encoding_format="float"))

    async def _asked(self, question: _Question) -> tuple[float, ...]:
        return await self._endpoint.ask(question, _Answer, self._timeout_s, self._read)

    def _read(self, answer: _Answer) -> tuple[float, ...]:
        found = answer.data[0].embedding
        if len(found) != self._dimensions:
            raise UpstreamFailed(
                f"The image embedding model makes vectors of {len(found)} numbers, not {self._dimensions}. Correct "
                "SLUICE_RETRIEVAL_IMAGE_EMBEDDING_DIMENSIONS."
            )
        length = math.hypot(*found)
        if not length:
            raise UpstreamFailed("The image embedding model gave a vector without a direction.")
        return tuple(value / length for value in found)
