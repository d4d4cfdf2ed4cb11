"""`POST /v1/chat/completions` as a client style: the hub's shapes as they are."""

from collections.abc import Sequence

from sluice_gateway.translate.events import write
from sluice_gateway.translate.shapes import Asked, ClientStyle, Failure, Json

DONE = b"data: [DONE]\n\n"


class ChunksOut:
    """Writes chunks; the one that carries nothing but token counts only when it was asked for."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def feed(self, chunks: Sequence[Json]) -> bytes:
        """Return the events for some chunks."""
        return b"".join(write(chunk) for chunk in chunks if chunk.get("choices") or self._asked.include_usage)

    def finish(self) -> bytes:
        """Return the mark of the end."""
        return DONE

    def fail(self, error: Failure) -> bytes:
        """Return the event that ends a broken stream."""
        return write(to_error(error)) + DONE


def to_error(error: Failure) -> Json:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


class Chat:
    """`POST /v1/chat/completions`."""

    style: ClientStyle = "chat"

    def request(self, fields: Json) -> Json:
        """Return the request, which is the hub's already."""
        return fields

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the answer, which is the hub's already."""
        return found

    def stream(self, asked: Asked) -> ChunksOut:
        """Return a writer for one stream."""
        return ChunksOut(asked)

    def error(self, error: Failure) -> Json:
        """Return an error in OpenAI's shape."""
        return to_error(error)
