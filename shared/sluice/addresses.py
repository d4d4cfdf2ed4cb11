"""Which addresses a request may have a model's server fetch: none inside the operator's network, unless he allows it.

A model's server fetches images and files by the links in a request. Without this check a caller could have it read cloud metadata
or services that only it can reach (server-side request forgery, OWASP). What names resolve to is checked too, once; it may change
until the model's server fetches them, so a self-hosted engine needs a firewall as well.
"""

import ipaddress
import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".svc", ".cluster.local")
_NAT64 = int(ipaddress.IPv6Address("64:ff9b::")) >> 32
_SCHEMES = frozenset({"http", "https", "ftp", "ftps"})
_AROUND = "".join(map(chr, range(0x21)))
# A backslash ends the host for some readers (WHATWG, urllib3) and not for others (RFC 3986): http://10.0.0.1\@example.com.
_TWO_WAYS = re.compile(r"[a-z]+:[/\\]*[^/?#]*[\\\x00-\x20\x7f]", re.IGNORECASE)


def is_allowed(link: str, allowed_hosts: AbstractSet[str]) -> bool:
    """Tell whether a model's server may be told to fetch a link.

    A file of the server's own is none, nor is a link whose host is read in two ways; data URLs and other schemes fetch nothing over the network.
    """
    link, parts = _read(link)
    if parts.scheme == "file":
        return False
    if parts.scheme not in _SCHEMES:
        return True
    if _TWO_WAYS.match(link):
        return False
    host = (parts.hostname or "").rstrip(".").lower()
    return host in allowed_hosts or is_public(host)


def names_in(links: Iterable[str], allowed_hosts: AbstractSet[str]) -> tuple[str, ...]:
    """Return the host names in links whose addresses have to be looked up, each once."""
    found: dict[str, None] = {}
    for link in links:
        _, parts = _read(link)
        host = (parts.hostname or "").rstrip(".").lower()
        if parts.scheme in _SCHEMES and host not in allowed_hosts and _address(host) is None:
            found[host] = None
    return tuple(found)


def _read(link: str) -> tuple[str, SplitResult]:
    # What readers of addresses leave out (WHATWG URL, 4.4).
    link = link.strip(_AROUND).replace("\t", "").replace("\r", "").replace("\n", "")
    return link, urlsplit(link)


def is_public(host: str) -> bool:
    """Tell whether a host is outside: a global address, or a name that is no local one."""
    address = _address(host)
    if address is not None:
        return _within(address).is_global and not address.is_multicast
    return "." in host and not host.endswith(_PRIVATE_ENDINGS)


def _within(address: Address) -> Address:
    # The IPv4 address that a mapped, 6to4, NAT64 (RFC 6052) or IPv4-compatible one leads to.
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if int(address) >> 32 in (_NAT64, 0):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _loose(host)


def _loose(host: str) -> ipaddress.IPv4Address | None:
    # The forms that inet_aton takes, and so most clients: fewer than four parts, hexadecimal, octal.
    parts = host.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers = [_number(part) for part in parts]
    if any(number is None for number in numbers):
        return None
    *heads, last = (number for number in numbers if number is not None)
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    return ipaddress.IPv4Address(sum(head << (24 - 8 * place) for place, head in enumerate(heads)) + last)


def _number(part: str) -> int | None:
    try:
        if part.startswith("0x"):
            return int(part[2:] or "0", 16)
        return int(part, 8 if part.startswith("0") and len(part) > 1 else 10)
    except ValueError:
        return None
