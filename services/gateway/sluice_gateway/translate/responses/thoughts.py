"""Signed thinking inside a reasoning item's `encrypted_content`: opaque to the client, the same when it comes back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

import orjson

from sluice_gateway import nesting
from sluice_gateway.translate.shapes import Json


def sealed(details: list[Json]) -> str | None:
    """Return the one string that holds all details, None when there are none."""
    return urlsafe_b64encode(orjson.dumps(details)).decode() if details else None


def opened(content: str) -> list[Json]:
    """Return the details; none when the string was made by another gateway or provider, whose models alone can read it."""
    try:
        found = nesting.loads(urlsafe_b64decode(content.encode()))
    except (Error, ValueError):
        return []
    if type(found) is not list:
        return []
    return [detail for detail in found if type(detail) is dict]
