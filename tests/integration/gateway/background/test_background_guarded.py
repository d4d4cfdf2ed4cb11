"""Responses in the background under attack: nothing that a guard blocks or takes out is asked, answered, kept or gone on from."""

from pathlib import Path
from typing import Any

import pytest
from gateway_parts import POISON, SECRET, deployment, model, snapshot
from openai_provider import Behaviour, Provider
from tests.integration.gateway.background.guarded_worker import TRIES, HeldGuard, guarded_worker
from tests.integration.gateway.dataplane.test_responses_read_all import ITEMS, attacked, routing

from sluice.contracts.routing import Policy, RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.conversations import Placed, StoredConversation
from sluice_gateway.translate.responses.retold import events_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
OUT, IN, OPEN = "out", "in", "open"
POLICIES = (
    Policy(name=OUT, guard_output="enforce"),
    Policy(name=IN, guard_input="enforce"),
    Policy(name=OPEN, guard_input="enforce", guard_output="enforce", on_guard_error="open"),
)


def guarded(provider: Provider) -> RoutingSnapshot:
    place = deployment("d1", provider.base_url)
    return snapshot(
        model("free", place), *(model(one.name, place, policy=one.name) for one in POLICIES), policies=POLICIES
    )


def reason(response: dict[str, Any]) -> tuple[str, str | None]:
    return response["status"], (response["error"] or {}).get("code")


@pytest.mark.parametrize("kind", ["parts", "call with parts", "reasoning", "file", "web search"])
async def test_no_order_reaches_a_provider_unread(kind: str, tmp_path: Path) -> None:
    assert kind in ITEMS
    async with guarded_worker(tmp_path, routing) as on:
        begun: list[str] = []
        for name in ("native", "open-translated"):
            for body in attacked(kind):
                answer = await on.begin(name, stream=False, **body)
                begun += [answer.json()["id"]] if answer.status_code == 200 else []
        ended = [reason(await on.ended(one)) for one in begun]
        assert ("failed", "content_filter") in ended, "some of them are read, and refused"
        assert {status for status, _ in ended} == {"failed"}
        told = [seen.body for seen in on.provider.seen if POISON.encode() in seen.body]
        assert not told, told[0]


async def test_what_was_said_before_is_read_when_it_is_asked(tmp_path: Path) -> None:
    async with guarded_worker(tmp_path, guarded) as on:
        item = {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": POISON}]}
        talk = StoredConversation("conv_1", "tenant-a", "o", "key_1", {}, 1, 2**40)
        await on.conversations.add(talk, [Placed("1", item)])
        asked = await on.begun("free", POISON)
        await on.ended(asked)
        on.provider.next(Behaviour(text=f"A page says: {POISON}"))
        answered = await on.begun("free")
        await on.ended(answered)
        for before in (
            {"previous_response_id": asked},
            {"previous_response_id": answered},
            {"conversation": "conv_1"},
        ):
            refused = await on.ended(await on.begun(IN, **before))
            assert reason(refused) == ("failed", "content_filter"), before
            after = await on.begin("free", previous_response_id=refused["id"])
            assert after.json()["error"]["code"] == "previous_response_not_completed"
        assert len(on.provider.seen) == 2
        said = await on.keeper.said("tenant-a", "conv_1")
        assert said is not None
        assert [one.item["id"] for one in said.items] == ["msg_1"], "what was refused is not added"


@pytest.mark.parametrize("leak", [SECRET, POISON], ids=["redacted", "blocked"])
async def test_what_a_guard_takes_out_of_an_answer_is_nowhere(leak: str, tmp_path: Path) -> None:
    async with guarded_worker(tmp_path, guarded) as on:
        for answer in (Behaviour(text=f"Well: {leak}."), Behaviour(tool_arguments=f'{{"to": "{leak}"}}')):
            on.provider.next(answer, answer)
            told = await on.begin(OUT, stream=True)
            one = await on.ended(await on.begun(OUT))
            assert leak not in told.text + repr(one) + repr(events_of(one))
            assert '"type":"response.completed"' in told.text or '"reason":"content_filter"' in told.text
            if leak == POISON:
                assert (one["status"], one["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})
            await on.ended(await on.begun("free", previous_response_id=one["id"]))
            assert leak.encode() not in on.provider.seen[-1].body
        assert len(on.provider.seen) == 6
        assert leak not in on.stored()


async def test_while_the_guard_is_away_a_closed_policy_waits_and_an_open_one_answers(tmp_path: Path) -> None:
    async with guarded_worker(tmp_path, guarded) as on:
        on.served.parts.guard.failing = DependencyUnavailable("away")
        assert (await on.ended(await on.begun(OPEN)))["status"] == "completed"
        assert on.served.parts.usage.events[-1].guard_issues == ("unchecked",)
        known = len(on.provider.seen)
        waits = await on.begun(IN)
        await on.until(lambda: len(on.served.parts.usage.events) >= 3)  # it was refused, and is asked again
        assert (await on.now(waits))["status"] == "in_progress"
        assert len(on.provider.seen) == known
        on.served.parts.guard.failing = None
        assert (await on.ended(waits))["status"] == "completed"


async def test_an_answer_that_nobody_could_check_is_paid_as_often_as_what_breaks(tmp_path: Path) -> None:
    async with guarded_worker(tmp_path, guarded) as on:
        on.served.parts.guard.failing = DependencyUnavailable("away")
        failed = await on.ended(await on.begun(OUT))
        assert reason(failed) == ("failed", "dependency_unavailable")
        assert "could not be checked" in failed["error"]["message"]
        assert failed["output"] == []
        assert len(on.provider.seen) == TRIES


@pytest.mark.parametrize(("name", "asked"), [(IN, 0), (OUT, 1)])
async def test_one_that_is_cancelled_while_it_is_checked(name: str, asked: int, tmp_path: Path) -> None:
    guard = HeldGuard()
    async with guarded_worker(tmp_path, guarded, guard) as on:
        begun = await on.begun(name)
        await on.until(lambda: guard.asked)
        await on.cancel(begun)
        guard.gate.set()
        await on.until(lambda: on.served.parts.usage.events)
        assert bool(on.served.parts.usage.events[0].cost_usd) == (asked > 0)
        assert (await on.ended(await on.begun(name)))["status"] == "completed", "the worker goes on"
        assert len(on.provider.seen) == asked + 1
        stopped = await on.now(begun)
        assert (stopped["status"], stopped["output"]) == ("cancelled", [])
        assert len(on.served.parts.usage.events) == 2
