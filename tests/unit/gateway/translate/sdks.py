"""The providers' own SDKs, reading bytes that were never sent: what a client makes of our answers and streams."""

import anthropic
import httpx2
import openai
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseStreamEvent


def _transport(body: bytes, *, streamed: bool, status: int = 200) -> httpx2.MockTransport:
    kind = "text/event-stream" if streamed else "application/json"
    return httpx2.MockTransport(lambda _: httpx2.Response(status, content=body, headers={"content-type": kind}))


def message_from(wire: bytes) -> anthropic.types.Message:
    """Return the message that Anthropic's SDK puts together from a stream; it raises for an error event."""
    http = anthropic.DefaultHttpxClient(transport=_transport(wire, streamed=True))
    with anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client:
        asked = client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "q"}])
        with asked as stream:
            return stream.get_final_message()


def response_from(wire: bytes) -> tuple[Response, list[ResponseStreamEvent]]:
    """Return the response and the events that OpenAI's SDK reads from a stream, put together by its own accumulator."""
    http = openai.DefaultHttpxClient(transport=_transport(wire, streamed=True))
    with openai.OpenAI(api_key="k", http_client=http, max_retries=0) as client:
        events: list[ResponseStreamEvent] = []
        with client.responses.stream(model="m", input="q") as stream:
            events.extend(stream)  # type: ignore[arg-type]
            return stream.get_final_response(), events


def chat_from(wire: bytes) -> ChatCompletion:
    """Return the completion that OpenAI's SDK puts together from a stream."""
    http = openai.DefaultHttpxClient(transport=_transport(wire, streamed=True))
    with openai.OpenAI(api_key="k", http_client=http, max_retries=0) as client:
        asked = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "q"}])
        with asked as stream:
            return stream.get_final_completion()
