"""What a deployment's base URL may look like: ASCII only, as it is sent; a host of another script in its `xn--` form."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

WANTED = "this must be an http:// or https:// URL without a query, such as https://api.openai.com/v1"
_OF_THE_API = re.compile(
    r"(/chat/completions|/completions|/embeddings|/messages|/responses|/rerank|:generateContent)/?$"
)
_PATTERN = (
    r"^https?://([A-Za-z0-9._~!$&'()*+,;=:%-]*@)?"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
    r'(/[!"$->@-~]*)?$'
)


def _can_be_reached(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.port is None or parts.port > 0
    except ValueError:  # an address in brackets that is none, or a port above 65535
        fits = False
    if not fits:
        raise ValueError(WANTED)
    if (found := _OF_THE_API.search(url)) is not None:
        raise ValueError(
            f"this must end before {found.group(1)}, which the gateway adds, as in https://api.openai.com/v1"
        )
    return url


BaseUrl = Annotated[str, StringConstraints(pattern=_PATTERN, max_length=2000), AfterValidator(_can_be_reached)]
