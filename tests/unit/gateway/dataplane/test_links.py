import ipaddress
from typing import Any

import orjson
import pytest
from gateway_parts import Keys, Names
from hypothesis import given
from hypothesis import strategies as st

from sluice.addresses import is_allowed, is_public
from sluice_gateway.dataplane.body import parse
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.stages.admit import admit_body, admit_links, admit_names
from sluice_gateway.dataplane.table import MESSAGES, RESPONSES, Endpoint

INSIDE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0", "10.1.2.3", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1",
    "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "::7f00:1", "localhost", "redis", "api.svc", "metadata.google.internal", "x.localhost", "db.default.svc.cluster.local", "",
]  # fmt: skip
OUTSIDE = ["example.com", "8.8.8.8", "134744072", "2606:4700::1111", "64:ff9b::808:808", "a.b.c.example"]


@pytest.mark.parametrize("host", INSIDE)
def test_what_is_inside_is_not_public(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize("host", OUTSIDE)
def test_what_is_outside_is_public(host: str) -> None:
    assert is_public(host)


@given(st.ip_addresses(v=4))
def test_every_form_of_an_address_is_judged_as_the_address(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [str(address), str(number), hex(number), f"{number >> 24}.{number & 0xFFFFFF}"]
    assert {is_public(form) for form in forms} == {address.is_global and not address.is_multicast}


@pytest.mark.parametrize(
    ("link", "allowed"),
    [
        ("http://10.0.0.1/x.png", False),
        ("HTTP://LOCALHOST:9/x", False),
        ("https://user:pw@127.0.0.1/", False),
        ("http://[::1]/", False),
        ("http://intranet./x", False),
        (" http://10.0.0.1/", False),
        ("\x01http://10.0.0.1/", False),
        ("http://10.0.0.1\\@example.com/x", False),
        ("ht\ttps://10.0.0.1\\@example.com/x", False),
        ("http:\\\\10.0.0.1\\@example.com/x", False),
        ("http://10.0.0.1 @example.com/x", False),
        ("https://example.com/a b\\c?d\\e", True),
        ("file:///etc/passwd", False),
        ("FILE://localhost/etc/passwd", False),
        ("ftp://10.0.0.1/x", False),
        ("https://example.com/x.png", True),
        ("http://10.9.9.9/x", True),
        ("data:image/png;base64,AAAA", True),
        ("s3://bucket/x", True),
    ],
)
def test_links_are_judged_by_their_host(link: str, allowed: bool) -> None:
    assert is_allowed(link, frozenset({"10.9.9.9"})) is allowed


def body(part: object) -> bytes:
    return orjson.dumps(
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}]}
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}},
        {"type": "image_url", "image_url": "http://169.254.169.254/latest/meta-data"},
        {"type": "video_url", "video_url": {"url": "http://[::1]/"}},
        {"type": "file", "file_url": "http://redis:6379/"},
        {"type": "image_url", "image_url": {"url": "http://[broken"}},
    ],
)
def test_a_link_inside_is_refused_unless_the_operator_allows_it(part: object) -> None:
    parsed = parse(body(part), "chat")
    with pytest.raises(InvalidRequest) as refused:
        admit_links(parsed, Options())
    assert refused.value.error_code == "link_not_allowed"
    admit_links(parsed, Options(private_links=True))


def test_links_outside_and_data_pass() -> None:
    for url in ("https://example.com/a.png", "data:image/png;base64,AAAA"):
        admit_links(parse(body({"type": "image_url", "image_url": {"url": url}}), "chat"), Options())


INNER = "http://169.254.169.254/latest/meta-data"
KEY = Keys().known[b"Bearer sk-test"]


@pytest.mark.parametrize(
    ("client", "fields"),
    [
        (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": INNER}}]}]}),
        (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": INNER}}]}]}),
        (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "image", "source": {"type": "url", "url": INNER}}]}]}]}),
        (MESSAGES, {"container": "x", "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": INNER}}]}]}),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": INNER}]}]}),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": INNER}]}]}),
    ],
)  # fmt: skip
def test_links_of_every_api_are_found_also_in_what_is_not_translated(client: Endpoint, fields: dict[str, Any]) -> None:
    for escaped in (False, True):
        raw = orjson.dumps({"model": "m", "max_tokens": 9, **fields})
        if escaped:
            raw = raw.replace(b'url"', b'\\u0075rl"').replace(b"image_url", b"image_\\u0075rl")
        parsed = admit_body(raw, client, KEY)
        assert INNER in parsed.links
        with pytest.raises(InvalidRequest) as refused:
            admit_links(parsed, Options())
        assert refused.value.error_code == "link_not_allowed"


def test_a_file_by_its_address_is_a_link() -> None:
    parsed = parse(body({"type": "file", "file": {"file_data": INNER}}), "chat")
    with pytest.raises(InvalidRequest):
        admit_links(parsed, Options())
    admit_links(parse(body({"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA"}}), "chat"), Options())


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%eth0", "fd00::1"])
async def test_a_name_that_leads_inside_is_refused_and_is_no_public_one_beside_it(address: str) -> None:
    names = Names({"evil.example.com": ("93.184.215.14", address)})
    linked = parse(body({"type": "image_url", "image_url": {"url": "https://Evil.example.com./x.png"}}), "chat")
    admit_links(linked, Options())  # nothing is wrong with the name itself
    with pytest.raises(InvalidRequest) as refused:
        await admit_names(linked, Options(), names)
    assert refused.value.error_code == "link_not_allowed"
    await admit_names(linked, Options(private_links=True), names)
    await admit_names(linked, Options(link_hosts=frozenset({"evil.example.com"})), names)
    assert names.asked == ["evil.example.com"]


async def test_names_that_lead_outside_or_nowhere_pass_and_addresses_are_not_looked_up() -> None:
    names = Names({"nowhere.example.com": ()})
    for url in (
        "https://example.com/a.png",
        "https://nowhere.example.com/a",
        "https://8.8.8.8/a",
        "data:image/png;base64,AA",
    ):
        await admit_names(parse(body({"type": "image_url", "image_url": {"url": url}}), "chat"), Options(), names)
    assert names.asked == ["example.com", "nowhere.example.com"]
