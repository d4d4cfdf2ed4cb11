"""Admit: take the body in, if it is small enough and is what the endpoint reads."""

from sluice.addresses import is_allowed, is_public, names_in
from sluice_gateway.dataplane.asgi import Receive
from sluice_gateway.dataplane.body import ParsedBody, parse, parse_foreign
from sluice_gateway.dataplane.context import UNREADABLE, Heads
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.errors import BodyTooLarge, Gone, InvalidRequest, UnsupportedBody
from sluice_gateway.dataplane.table import Endpoint
from sluice_gateway.domain.ports import KeyRecord, Names
from sluice_gateway.domain.wishes import Wishes, wishes_of


def admit_head(heads: Heads, limit: int) -> None:
    """Refuse what the head alone shows to be unacceptable, before a byte of the body is read.

    Raises:
        BodyTooLarge: the announced length is over the limit.
        UnsupportedBody: the body is compressed.
        InvalidRequest: the deadline cannot be read.
    """
    encoding = heads.content_encoding
    if encoding is not None and encoding.lower() != b"identity":
        raise UnsupportedBody("The body is compressed. Send it without Content-Encoding.", param=None)
    length = heads.content_length
    if length is not None and length.isdigit() and int(length) > limit:
        raise too_large(limit)
    if heads.deadline_s == UNREADABLE:
        raise InvalidRequest(
            "`x-sluice-deadline-ms` must be a whole number of milliseconds, such as 30000.",
            param="x-sluice-deadline-ms",
            code="invalid_value",
        )


def admit_body(raw: bytes, endpoint: Endpoint, key: KeyRecord) -> ParsedBody:
    """Parse and check the body; where it names no model the key's is meant."""
    client, model = endpoint.client, key.default_model
    return parse(raw, endpoint.kind, model) if client is None else parse_foreign(raw, client, model)


def admit_links(body: ParsedBody, options: Options) -> None:
    """Refuse links into the operator's own network, which the model's server would fetch.

    Raises:
        InvalidRequest: there is one.
    """
    if options.private_links:
        return
    for link in body.links:
        try:
            allowed = is_allowed(link, options.link_hosts)
        except ValueError:
            allowed = False
        if not allowed:
            raise _leads_inside()


async def admit_names(body: ParsedBody, options: Options, names: Names) -> None:
    """Refuse links whose names have an address inside, now; `admit_links` has let them pass.

    Raises:
        InvalidRequest: there is one.
    """
    if options.private_links:
        return
    for name in names_in(body.links, options.link_hosts):
        if not all(is_public(address) for address in await names.addresses(name)):
            raise _leads_inside()


def _leads_inside() -> InvalidRequest:
    return InvalidRequest(
        "A link leads to an address that is not public, so it is not fetched. Send the content as a data URL, or ask your "
        "administrator to allow the host (SLUICE_GATEWAY_LINK_HOSTS).",
        param="messages",
        code="link_not_allowed",
    )


def admit_wishes(header: bytes) -> Wishes:
    """Read what the caller wishes for each attempt.

    Raises:
        InvalidRequest: the header cannot be read.
    """
    try:
        return wishes_of(header)
    except ValueError as exc:
        raise InvalidRequest(f"`x-sluice-attempt` {exc}", param="x-sluice-attempt", code="invalid_value") from exc


def user_type_of(heads: Heads, key: KeyRecord, options: Options) -> str | None:
    """Return the kind of user for whom a request is: as it says itself, else as its key says.

    Raises:
        InvalidRequest: it says one that the settings do not name.
    """
    if heads.user_type is None:
        return key.user_type
    named = heads.user_type.decode("latin-1")
    if named in options.user_types:
        return named
    raise InvalidRequest(
        f"`x-sluice-user-type` must be one of those that SLUICE_GATEWAY_USER_TYPES names: {', '.join(sorted(options.user_types)) or 'none'}.",
        param="x-sluice-user-type",
        code="invalid_value",
    )


async def read_body(receive: Receive, limit: int) -> bytes:
    """Read the whole body.

    Raises:
        BodyTooLarge: it is over the limit; the rest is not read.
        Gone: the client went away before it had sent everything.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise too_large(limit)
    return b"".join(parts)


def too_large(limit: int) -> BodyTooLarge:
    """Return the refusal of a body over the limit."""
    return BodyTooLarge(f"The body is larger than {limit} bytes. Send a shorter one.")
