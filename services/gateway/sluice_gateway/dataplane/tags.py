"""Tags of a request: in its head, in its body (`metadata.tags`), and of its key."""

from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.domain.tags import checked_tags, merged, tags_in


def tags_of(key: tuple[str, ...], body: tuple[str, ...], header: bytes | None) -> tuple[str, ...]:
    """Return the tags of a request: those of its key, of its body and of its head, each once.

    Raises:
        InvalidRequest: the header names what cannot be a tag, or there are too many.
    """
    if header is None:
        return merged(key, body)
    try:
        return merged(key, checked_tags((*body, *tags_in(header))))
    except ValueError as exc:
        raise InvalidRequest(f"`x-sluice-tags` {exc}", param="x-sluice-tags", code="invalid_value") from exc
