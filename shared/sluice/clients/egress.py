"""How a service leaves its network: through the proxy that the usual variables name, for https only.

Services talk to each other over http, which no proxy sees. Providers, webhooks and other servers outside are https.
"""

import ssl
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass


def proxy_for(url: str) -> str | None:
    """Return the address of the proxy for an address, None where there is none.

    `HTTPS_PROXY` (else `ALL_PROXY`) names it, and `NO_PROXY` the hosts that are reached without it, as for curl; in lower case, too.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    proxies = getproxies_environment()
    if proxy_bypass(parts.netloc.rpartition("@")[2], proxies):
        return None
    found = proxies.get("https") or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"


def trusted() -> ssl.SSLContext:
    """Return whom to trust: the system's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; read once, which takes some 10 ms."""
    return _read(ssl.get_default_verify_paths())


@lru_cache(maxsize=4)
def _read(_paths: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    return ssl.create_default_context()
