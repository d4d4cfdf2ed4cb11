"""What a request for a route needs of a model, and whom it comes from, as the router is told."""

import hashlib
from collections.abc import Iterator
from typing import Any

from sluice.contracts.routing import Capability, Modality, Model
from sluice_gateway.dataplane.body import Fields

_PARTS: dict[str, Modality] = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "image": "image",
    "image_embeds": "image",
    "audio": "audio",
    "audio_url": "audio",
    "video": "video",
    "video_url": "video",
    "document": "file",
    "file": "file",
    "input_file": "file",
}
_LONGEST_USER = 200  # of a memory


def modalities(fields: Fields) -> tuple[Modality, ...]:
    """Return what besides text the messages hold, in the order of the alphabet."""
    found = {_PARTS[part] for part in _part_types(fields.get("messages")) if part in _PARTS}
    return tuple(sorted(found))


def capabilities(fields: Fields) -> tuple[Capability, ...]:
    """Return which abilities the request asks for."""
    found: list[Capability] = []
    if fields.get("tools"):
        found.append("tools")
    form = fields.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        found.append("json_schema")
    if fields.get("logprobs"):
        found.append("logprobs")
    return tuple(found)


def can_take(model: Model, fields: Fields) -> bool:
    """Tell whether a model takes what the request holds and can do what it asks for; one that lists nothing is asked for anything."""
    takes, can = model.input_modalities, model.capabilities
    return (takes is None or set(modalities(fields)) <= {*takes}) and (
        can is None or set(capabilities(fields)) <= {*can}
    )


def user_of(fields: Fields) -> str:
    """Return the end user whom a request names; empty when it names none."""
    user = fields.get("safety_identifier") or fields.get("user")
    return user if isinstance(user, str) else ""


def remembered_user(fields: Fields) -> str:
    """Return the end user as memories name him; empty for none, and for what no memory can be of."""
    user = user_of(fields)
    return user if len(user) <= _LONGEST_USER and user.isprintable() else ""


def subject(fields: Fields, tenant: str) -> str:
    """Return a stand-in for the end user, the same for all his requests; empty when the request names none."""
    user = user_of(fields)
    if not user:
        return ""
    text = f"{tenant}\0{user}".encode(errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def session(fields: Fields, tenant: str) -> str:
    """Return a stand-in for the session whose requests belong together; empty when the request names none."""
    key = fields.get("prompt_cache_key")
    if isinstance(key, str) and key:
        return subject({"user": f"session\0{key}"}, tenant)
    return subject(fields, tenant)


def prompt_subject(named: str | None, fields: Fields, tenant: str) -> str:
    """Return a stand-in for whom the version of a prompt is drawn: who is named, else the end user; empty for nobody."""
    return subject({"user": f"prompt\0{named}"} if named else fields, tenant)


def _part_types(messages: Any) -> Iterator[str]:
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield from _types_in(message.get("content"))


def _types_in(content: Any) -> Iterator[str]:
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "document" and _is_text(part.get("source")):
            continue
        if isinstance(kind, str):
            yield kind
            if kind not in _PARTS:
                yield from _types_in(part.get("content"))  # what a tool found


def _is_text(source: Any) -> bool:
    return isinstance(source, dict) and source.get("type") == "text"
