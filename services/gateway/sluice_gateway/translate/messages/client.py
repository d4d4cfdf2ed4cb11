"""Anthropic's Messages API as a client style: the pieces in one place."""

from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.messages.answer import to_error, to_message
from sluice_gateway.translate.messages.request import to_hub
from sluice_gateway.translate.messages.stream import EventsOut
from sluice_gateway.translate.shapes import Asked, ClientStyle, Failure, Json


class Messages:
    """`POST /v1/messages`."""

    style: ClientStyle = "messages"

    def request(self, fields: Json) -> Json:
        """Return the hub request for a Messages request."""
        if fields.get("max_tokens") is None:
            raise Untranslatable("max_tokens", "is missing: the Messages API demands it.")
        return to_hub(fields)

    def count_request(self, fields: Json) -> Json:
        """Return the hub request whose prompt a `count_tokens` request asks about."""
        return to_hub(fields)

    def count_answer(self, tokens: int) -> Json:
        """Return the answer to a `count_tokens` request."""
        return {"input_tokens": tokens}

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the message for a hub answer."""
        return to_message(found, asked)

    def stream(self, asked: Asked) -> EventsOut:
        """Return a translator for one stream."""
        return EventsOut(asked)

    def error(self, error: Failure) -> Json:
        """Return an error in Anthropic's shape."""
        return to_error(error)


class CountTokens(Messages):
    """`POST /v1/messages/count_tokens`: the prompt of a message, without the wish for an answer."""

    def request(self, fields: Json) -> Json:
        """Return the hub request whose prompt is to be counted."""
        return self.count_request(fields)

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the count, which is in its own shape already."""
        return found
