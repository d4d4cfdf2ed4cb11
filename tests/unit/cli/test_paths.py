"""What is typed as a name or id, on its way into the path of a call."""

import re
from pathlib import Path

import httpx
import pytest

import sluice_cli
from sluice_cli.client import path_of
from sluice_cli.platform.errors import CommandFailed


@pytest.mark.parametrize("name", ["a b", "a?b", "a#b", "100%", "a%2Fb", "ä", "a;b=c&d", "a\\b", "...", "model:v1@x+y"])
def test_a_name_reaches_the_service_as_it_was_typed(name: str) -> None:
    url = httpx.URL("http://gateway" + path_of("/v1/prompts", name, "versions", 3))
    assert url.path == f"/v1/prompts/{name}/versions/3"
    assert (url.query, url.fragment) == (b"", "")


def test_names_of_models_have_slashes_and_no_others() -> None:
    assert path_of("/admin/models", "org/fast model", slashes=True) == "/admin/models/org/fast%20model"
    with pytest.raises(CommandFailed, match="'greeting/split' is no name or id of anything under /v1/prompts"):
        path_of("/v1/prompts", "greeting/split")


@pytest.mark.parametrize("slashes", [False, True])
@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "/a", "a/"])
def test_nothing_leads_to_something_else(name: str, slashes: bool) -> None:
    with pytest.raises(CommandFailed):
        path_of("/admin/models", name, slashes=slashes)


def test_every_command_makes_its_paths_so() -> None:
    by_hand = re.compile(r"""f["'](?:/v1|/admin|\{_PATH\})/[^"']*\{""")
    found = [
        f"{source.name}: {line.strip()}"
        for source in Path(sluice_cli.__file__).parent.rglob("*.py")
        for line in source.read_text().splitlines()
        if by_hand.search(line)
    ]
    assert found == [], "sluice_cli.client.path_of makes them"
