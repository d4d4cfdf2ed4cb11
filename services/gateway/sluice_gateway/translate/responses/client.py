"""OpenAI's Responses API as a client style: the pieces in one place."""

from sluice_gateway.translate.chat.client import to_error
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.hub import details
from sluice_gateway.translate.responses.request import to_hub
from sluice_gateway.translate.responses.stream import EventsOut
from sluice_gateway.translate.shapes import Asked, ClientStyle, Failure, Json


class Responses:
    """`POST /v1/responses`; the whole conversation stands in each request when it comes here."""

    style: ClientStyle = "responses"

    def request(self, fields: Json) -> Json:
        """Return the hub request for a Responses request."""
        return to_hub(fields)

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the response for a hub answer; it is what the events of a stream with one chunk come to.

        Raises:
            BadAnswer: the answer has no choice.
        """
        choices = found.get("choices")
        if type(choices) is not list or not choices or type(choices[0]) is not dict:
            raise BadAnswer("no choice")
        message = details(choices[0], "message")
        calls = [{**call, "index": place} for place, call in enumerate(message.get("tool_calls") or ())]
        delta = {**message, "tool_calls": calls}
        writer = EventsOut(asked)
        writer.feed([{**found, "choices": [{**choices[0], "index": 0, "delta": delta}]}])
        writer.close_items()
        return writer.response()

    def stream(self, asked: Asked) -> EventsOut:
        """Return a translator for one stream."""
        return EventsOut(asked)

    def error(self, error: Failure) -> Json:
        """Return an error in OpenAI's shape."""
        return to_error(error)


class CountInput(Responses):
    """`POST /v1/responses/input_tokens`: the prompt of a response, without the wish for an answer."""

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the count in its own shape."""
        return {"object": "response.input_tokens", **found}
