"""`sluice responses` and `sluice conversations` against a real gateway."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.integration.gateway.responses.pair import Pair
from typer.testing import CliRunner

from sluice.testing.apps import ADMIN_KEY
from sluice_cli.app import app

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_what_is_kept_is_shown_deleted_and_erased(pair: Pair, tmp_path: Path) -> None:
    environment = {
        "SLUICE_URL": pair.urls[0],
        "SLUICE_API_KEY": pair.key,
        "SLUICE_ADMIN_KEY": ADMIN_KEY,
        "SLUICE_HOME": str(tmp_path / "home"),
    }

    async def sluice(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=environment).invoke, app, arguments)

    async def shown(*arguments: str) -> Any:
        done = await sluice(*arguments)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    pair.answer(text="Hello.")
    async with pair.api() as api:
        first = await api.responses.create(model="open", input="I am Ann.")
        second = await api.responses.create(model="open", input="Who am I?", previous_response_id=first.id)
        message: Any = {"type": "message", "role": "user", "content": "Remember me."}
        talks = [await api.conversations.create(items=[message], metadata={"topic": "names"}) for _ in range(2)]
    found = await shown("responses", "show", second.id)
    assert (found["id"], found["output"][0]["content"][0]["text"]) == (second.id, "Hello.")
    items = await shown("responses", "input", second.id)
    assert [item["content"][0]["text"] for item in items] == ["I am Ann.", "Hello.", "Who am I?"]
    talk = await shown("conversations", "show", talks[0].id)
    assert (talk["id"], talk["metadata"], len(talk["items"])) == (talks[0].id, {"topic": "names"}, 1)
    async with pair.api() as api:
        begun = await api.responses.create(model="open", input="Later?", background=True)
    assert (await shown("responses", "show", begun.id))["status"] == "queued"
    assert (await sluice("responses", "cancel", begun.id)).output == f"{begun.id} is cancelled.\n"
    assert "400" in str((await sluice("responses", "cancel", second.id)).exception)
    for group, one in (("responses", second.id), ("conversations", talks[0].id)):
        assert f"{one} is deleted." in (await sluice(group, "delete", one)).output
        assert "404" in str((await sluice(group, "show", one)).exception)
    assert "--tenant" in str((await sluice("responses", "erase")).exception)
    assert (await sluice("responses", "erase", "--tenant", "nobody")).output.startswith("0 responses and 0 conv")
    erased = await sluice("responses", "erase", "--tenant", "acme", "--from", "2026-01-01")
    assert erased.output == "2 responses and 1 conversations are deleted.\n"
