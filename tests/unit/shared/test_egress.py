"""Which proxy an address is reached through."""

import pytest

from sluice.clients.egress import proxy_for

_NAMES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.mark.parametrize(
    ("environment", "url", "found"),
    [
        ({}, "https://api.example.com/v1", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://api.example.com/v1", "http://proxy:3128"),
        ({"https_proxy": "http://me:word@proxy:3128"}, "https://api.example.com", "http://me:word@proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "https://api.example.com", "http://proxy:3128"),
        ({"ALL_PROXY": "http://all:1"}, "https://api.example.com", "http://all:1"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://router:8081/route", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://router:8081/route", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "https://api.example.com", None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example.com"}, "https://api.example.com/v1", None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.com"}, "https://api.example.com:8443/v1", None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, "https://api.example.com/v1", None),
        (
            {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.org"},
            "https://api.example.com",
            "http://proxy:3128",
        ),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "no address", None),
    ],
)
def test_the_usual_variables_name_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, found: str | None
) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == found
