"""Pages of origins that the operator names may call from a browser (CORS); without the setting none may."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.gateway.sdks.sdk_platform import Platform, running

pytestmark = pytest.mark.integration

_PAGE = "https://app.example.com"
_ALLOW = "access-control-allow-origin"


@pytest.fixture
async def open_to_pages(tmp_path: Path, flushed_valkey: str) -> AsyncIterator[Platform]:
    async with running(tmp_path, flushed_valkey, {"SLUICE_GATEWAY_CORS_ORIGINS": f'["{_PAGE}"]'}) as found:
        yield found


async def _chat(platform: Platform, origin: str | None, **more: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {platform.key}"} | ({} if origin is None else {"origin": origin})
    body = {"model": "open", "messages": [{"role": "user", "content": "hi"}], **more}
    async with httpx.AsyncClient(timeout=60) as http:
        return await http.post(f"{platform.url}/v1/chat/completions", json=body, headers=headers)


async def _preflight(platform: Platform, path: str, origin: str) -> httpx.Response:
    asks = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    async with httpx.AsyncClient(timeout=60) as http:
        return await http.options(f"{platform.url}{path}", headers=asks)


async def test_a_named_page_may_ask_and_read_the_answer(open_to_pages: Platform) -> None:
    for path in ("/v1/chat/completions", "/v1/files", "/openai/deployments/open/chat/completions"):
        asked = await _preflight(open_to_pages, path, _PAGE)
        assert asked.status_code == 200
        assert asked.headers[_ALLOW] == _PAGE
        assert "authorization" in asked.headers["access-control-allow-headers"]
    for answer in (await _chat(open_to_pages, _PAGE), await _chat(open_to_pages, _PAGE, stream=True)):
        assert answer.status_code == 200
        assert answer.headers[_ALLOW] == _PAGE
        assert answer.headers["access-control-expose-headers"] == "*"
        assert "origin" in answer.headers["vary"].lower()
        assert answer.headers["x-sluice-model"] == "open"
    refused = await _chat(open_to_pages, _PAGE, model="nobody")
    assert refused.status_code == 404
    assert refused.headers[_ALLOW] == _PAGE  # or the page could not read why
    headers = {"authorization": f"Bearer {open_to_pages.key}", "origin": _PAGE}
    async with httpx.AsyncClient(timeout=60) as http:
        usage = await http.get(f"{open_to_pages.url}/v1/usage", headers=headers)
    assert usage.headers[_ALLOW] == _PAGE


async def test_other_pages_are_not_let_in_and_other_clients_notice_nothing(open_to_pages: Platform) -> None:
    assert (await _preflight(open_to_pages, "/v1/chat/completions", "https://evil.example")).status_code == 400
    assert _ALLOW not in (await _chat(open_to_pages, "https://evil.example")).headers
    assert _ALLOW not in (await _chat(open_to_pages, None)).headers


async def test_without_the_setting_no_page_may_call(platform: Platform) -> None:
    assert _ALLOW not in (await _preflight(platform, "/v1/chat/completions", _PAGE)).headers
    assert _ALLOW not in (await _chat(platform, _PAGE)).headers
