"""Images and documents in a request: base64 data or an address, with the media type that providers ask for."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from sluice_gateway.translate.errors import Untranslatable

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_IMAGE_TYPES = {"jpg": "image/jpeg", "image/jpg": "image/jpeg"}
_BY_ENDING = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
}


class Inline(NamedTuple):
    """Base64 data with its media type."""

    media_type: str
    data: str


class Linked(NamedTuple):
    """An address that the provider fetches itself; the media type is guessed from its ending."""

    url: str
    media_type: str | None


Media = Inline | Linked


def read(url: str, where: str) -> Media:
    """Read a data URL or an http(s) or s3 address.

    Raises:
        Untranslatable: it is neither.
    """
    match = _DATA_URL.match(url)
    if match:
        data = url[match.end() :]
        if not _BASE64.fullmatch(data):
            raise Untranslatable(where, "must hold base64 data after the comma.")
        kind = match.group(1).lower()
        return Inline(_IMAGE_TYPES.get(kind, kind), data)
    if url.startswith(("https://", "http://", "s3://", "gs://")):
        ending = urlsplit(url).path.rpartition(".")[2].lower()
        return Linked(url, _BY_ENDING.get(ending))
    raise Untranslatable(where, 'must be an address (https://…) or a data URL such as "data:image/png;base64,…".')


def data_url(media: Media) -> str:
    """Return the one string that the hub holds a medium in."""
    return media.url if isinstance(media, Linked) else f"data:{media.media_type};base64,{media.data}"
