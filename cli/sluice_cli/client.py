"""Talks to the gateway (and, for the administrator, to its admin API) and turns refusals into plain sentences."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from sluice_cli.platform.errors import CommandFailed, Refused, TypeRefused
from sluice_cli.platform.home import API_KEY, Home
from sluice_cli.platform.place import layout_of
from sluice_cli.settings import CliSettings

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway and the credentials to use there."""

    url: str
    api_key: str
    admin_key: str
    hint: str = "Is the platform up? Try `sluice status`."

    @classmethod
    def from_settings(cls, settings: CliSettings) -> "Gateway":
        """Take what is set, else what `sluice up` left in its secrets file."""
        stored = Home(settings.home).read_secrets()
        return cls(
            url=(settings.url or layout_of(settings).url("gateway")).rstrip("/"),
            api_key=settings.api_key.get_secret_value() or stored.get(API_KEY, ""),
            admin_key=settings.admin_key.get_secret_value() or stored.get("SLUICE_ADMIN_KEY", ""),
        )

    @classmethod
    def of_service(cls, service: str, url: str = "") -> "Gateway":
        """Return another service to talk to in the gateway's way: the one at `url`, else that of the platform of this machine."""
        settings = CliSettings()
        place = (url or layout_of(settings).url(service)).rstrip("/")
        hint = f"Is the {service} service up? Try `sluice status`, or name another place with --url."
        return replace(cls.from_settings(settings), url=place, hint=hint)

    def user(self, method: str, path: str, **options: Any) -> Any:
        """Call with the API key and return the parsed answer."""
        if not self.api_key:
            raise CommandFailed("No API key is known. Set SLUICE_API_KEY, or start the platform here with `sluice up`.")
        return self._call(method, path, self.api_key, **options)

    def admin(self, method: str, path: str, **options: Any) -> Any:
        """Call with the administrator's key and return the parsed answer."""
        if not self.admin_key:
            raise CommandFailed(
                "No administrator's key is known. Set SLUICE_ADMIN_KEY, or start the platform here with `sluice up`."
            )
        return self._call(method, path, self.admin_key, **options)

    def metrics(self) -> str:
        """Return what the gateway tells Prometheus; it needs no key."""
        return str(self._call("GET", "/metrics", ""))

    def download(self, path: str, into: Path, query: Mapping[str, Any], *, as_administrator: bool) -> int:
        """Write an answer into a new file as it comes and return its size in bytes; of a failed one nothing is left."""
        credential = self.admin_key if as_administrator else self.api_key
        if not credential:
            raise CommandFailed("No key is known. Set SLUICE_API_KEY or, for --all, SLUICE_ADMIN_KEY.")
        headers = {"authorization": f"Bearer {credential}"}
        try:
            file = into.open("xb")
        except OSError as exc:
            raise CommandFailed(f"{into} cannot be written ({exc.strerror}).") from exc
        try:
            with (
                file,
                httpx.stream("GET", self.url + path, params=dict(query), headers=headers, timeout=_TIMEOUT_S) as answer,
            ):
                _check(answer)
                return sum(file.write(part) for part in answer.iter_bytes())
        except httpx.HTTPError as exc:
            into.unlink()
            raise CommandFailed(f"The answer of {self.url} broke off ({type(exc).__name__}). Try again.") from exc
        except BaseException:
            into.unlink()
            raise

    def _call(self, method: str, path: str, credential: str, **options: Any) -> Any:
        headers = {"authorization": f"Bearer {credential}"} if credential else {}
        headers |= options.pop("headers", {})
        try:
            answer = httpx.request(
                method, self.url + path, headers=headers, verify=_trust(), **{"timeout": _TIMEOUT_S, **options}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise CommandFailed(f"{self.url} cannot be reached ({type(exc).__name__}). {self.hint}") from exc
        _check(answer)
        if answer.content and "json" in answer.headers.get("content-type", ""):
            return answer.json()
        return answer.text


@cache
def _trust() -> ssl.SSLContext:
    """Return whom to trust; to read all certificates anew for each call takes longer than most calls (measured: 20 ms of processor time)."""
    return httpx.create_ssl_context()


def path_of(root: str, *parts: object, slashes: bool = False) -> str:
    """Return the path of something of an API: each part behind `root` reaches the service as it was typed, whatever signs it has.

    With `slashes` a name may have some, as names of models do.

    Raises:
        CommandFailed: a part is none, or would lead elsewhere.
    """
    for part in map(str, parts):
        steps = part.split("/") if slashes else [part]
        if {"", ".", ".."} & set(steps) or (not slashes and "/" in part):
            raise CommandFailed(f"{part!r} is no name or id of anything under {root}.")
    return "/".join((root, *(quote(str(part), safe="/:@+" if slashes else ":@+") for part in parts)))


def every(call: Callable[..., Any], path: str, query: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yield all rows of a list, page by page; `call` is `Gateway.user` or `Gateway.admin`."""
    after: str | None = None
    while True:
        page = call("GET", path, params={"limit": 100, **(query or {}), **({"after": after} if after else {})})
        yield from page["data"]
        if not page["has_more"]:
            return
        after = page["last_id"]


def _check(answer: httpx.Response) -> None:
    if answer.status_code < httpx.codes.BAD_REQUEST:
        return
    answer.read()
    request = answer.request
    kind = TypeRefused if answer.status_code == httpx.codes.UNSUPPORTED_MEDIA_TYPE else Refused
    said = sentence_of(answer)
    text = f"{request.method} {request.url.path} was refused with {answer.status_code}: {said}"
    raise kind(text, said, answer.status_code)


def sentence_of(answer: httpx.Response) -> str:
    """Return what an answer that refuses says, in whichever shape of errors."""
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:300]
    if not isinstance(body, dict):
        return answer.text[:300]
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("message", error))
    return str(body.get("detail", body))
