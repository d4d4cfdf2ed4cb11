"""What a message or a piece of one says, in the terms that clients of every API know: words, thoughts, and calls of functions."""

import orjson

from sluice_gateway.translate.hub import details, objects, word
from sluice_gateway.translate.shapes import Json

_IMAGE = "[The model made an image, which this API cannot carry. POST /v1/chat/completions gives it.]"
_SOUND = (
    "[The model spoke, and there is no transcript; this API cannot carry sound. POST /v1/chat/completions gives it.]"
)
_PICTURES = ("image_url", "image", "output_image")
_SOUNDS = ("audio", "output_audio")


class Reader:
    """Reads one choice of chat completions, whole or piece by piece.

    Content in parts becomes a text. A `function_call`, as calls were before there could be several, becomes one of `tool_calls`; a call
    of a custom tool too, with its text as `{"input": …}`. Of sound its transcript is told, of an image its address; what only has
    bytes is told in a sentence in its place. Sound stands in `audio` (OpenAI), images in `images` (OpenRouter and its like).
    """

    __slots__ = ("_customs", "_silent", "_transcribed", "_words")

    def __init__(self) -> None:
        self._customs: dict[int, Json] = {}  # calls of custom tools, by number, as far as they came
        self._silent = False  # whether sound came
        self._transcribed = False
        self._words = False

    def whole(self, message: Json) -> Json:
        """Return a whole message."""
        found, rest = self.read(message), self.rest()
        content = (found.get("content") or "") + rest.get("content", "")
        return {**found, "content": content or None, "tool_calls": [*found["tool_calls"], *rest["tool_calls"]]}

    def read(self, said: Json) -> Json:
        """Return a message or delta; what has to wait for more comes with `rest`."""
        content, thoughts, images = said.get("content"), "", [_image(one) for one in objects(said, "images")]
        if type(content) is list:
            parts = objects(said, "content")
            images += [_image(part) for part in parts if part.get("type") in _PICTURES]
            content = "".join(self._words_of(part) for part in parts)
            thoughts = _thoughts(said)
        if spoken := self._sound(details(said, "audio")):
            content = f"{content or ''}{spoken}"
        self._words = self._words or bool(content)
        for image in images:
            content = f"{content or ''}{self._apart(image)}"
        found = {**said, "content": content, "tool_calls": self._calls(said)}
        return {**found, "reasoning_content": thoughts} if thoughts else found

    def rest(self) -> Json:
        """Return what is left to say when the choice has ended."""
        note = self._apart(_SOUND) if self._silent and not self._transcribed else ""
        self._silent = False
        calls = [_as_function(number, call) for number, call in sorted(self._customs.items())]
        self._customs = {}
        return {"content": note, "tool_calls": calls}

    def _apart(self, note: str) -> str:
        words, self._words = self._words, True
        return f"\n\n{note}" if words else note

    def _words_of(self, part: Json) -> str:
        if part.get("type") in _SOUNDS:
            return self._sound(details(part, "audio") or part)
        return word(part, "text") if part.get("type") == "text" else ""

    def _sound(self, audio: Json) -> str:
        transcript = word(audio, "transcript")
        self._silent = self._silent or bool(audio.get("data"))
        self._transcribed = self._transcribed or bool(transcript)
        return transcript

    def _calls(self, said: Json) -> list[Json]:
        calls = []
        for place, call in enumerate(objects(said, "tool_calls")):
            if type(call.get("custom")) is dict:
                self._take_custom(place, call)
            else:
                calls.append(call)
        if not said.get("tool_calls") and type(said.get("function_call")) is dict:
            calls.append({"index": 0, "function": said["function_call"]})
        return calls

    def _take_custom(self, place: int, call: Json) -> None:
        index = call.get("index")
        known = self._customs.setdefault(index if type(index) is int else place, {"name": "", "input": "", "id": None})
        known["id"] = known["id"] or call.get("id")
        known["name"] = known["name"] or word(call["custom"], "name")
        known["input"] += word(call["custom"], "input")


def _as_function(number: int, call: Json) -> Json:
    arguments = orjson.dumps({"input": call["input"]}).decode()
    function = {"name": call["name"], "arguments": arguments}
    return {"index": number, "id": call["id"], "type": "function", "function": function}


def _image(image: Json) -> str:
    address = image.get("image_url")
    url = address if type(address) is str else word(details(image, "image_url"), "url")
    return f"![image]({url})" if url.startswith(("https://", "http://")) else _IMAGE


def _thoughts(said: Json) -> str:
    # Mistral's models that think write their thoughts as parts beside the words.
    return "".join(
        word(inner, "text")
        for part in objects(said, "content")
        if part.get("type") == "thinking"
        for inner in objects(part, "thinking")
    )
