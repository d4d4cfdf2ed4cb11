"""Which base URLs are taken."""

import pytest
from pydantic import TypeAdapter, ValidationError

from sluice_router.domain.base_url import BaseUrl

URLS: TypeAdapter[str] = TypeAdapter(BaseUrl)


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:8083/v1", "https://api.openai.com", "http://my_host-1:8000/", "https://[2001:db8::1]:443/v1", "https://xn--bcher-kva.example/v1/~a%20b",
    "https://user:pass@api.example/v1",
])  # fmt: skip
def test_taken(url: str) -> None:
    assert URLS.validate_python(url) == url


@pytest.mark.parametrize("url", [
    "ftp://host/v1", "https://", "https://host?x=1", "https://host/v1#x", "https://host:99999/v1", "https://host:0/v1", "https://[::gg]/v1", "https://[.]/",
    "https://b\u00fccher.example", "http://a\uff20b", "http://\U0006bf84h", "http://host/\u00e9", "http://a b/", "http://host\n", "http://host:80:80/",
])  # fmt: skip
def test_refused_and_nothing_raised_but_that(url: str) -> None:
    with pytest.raises(ValidationError):
        URLS.validate_python(url)
