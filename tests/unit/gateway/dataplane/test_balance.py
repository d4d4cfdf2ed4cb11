"""How a replica is chosen by what it has read before, by its session, and within bounds on its load."""

import random
from collections import Counter
from typing import Any

import pytest
from gateway_parts import deployment, model, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.dataplane.balance import Balancer, Prefixes, balancer_of
from sluice_gateway.dataplane.deployments import DeploymentState, choose
from sluice_gateway.dataplane.plan import Stages
from sluice_gateway.dataplane.prefixes import BLOCK_CHARS, READ_CHARS, PrefixIndex, block_hashes, prompt_text
from sluice_gateway.dataplane.table import Compiler
from sluice_gateway.domain.latencies import FORGOTTEN_AFTER_S, Usual
from sluice_gateway.metrics import GatewayMetrics


class NoUpstream:
    """An upstream that is never called."""


async def nothing(ctx: Any) -> None: ...


def replicas(*names: str, **changes: object) -> list[DeploymentState]:
    return [DeploymentState(deployment(name, "http://h/v1", **changes), "/v1", NoUpstream()) for name in names]


def balancer(kind: Any) -> Balancer:
    found = balancer_of(kind, "m", GatewayMetrics(MetricRegistry()))
    assert found is not None
    return found


def prompt(prefix: int, question: str = "?", **more: Any) -> dict[str, Any]:
    system = f"Rules of house {prefix}. " * 100
    return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": question}], **more}


def chosen(by: Balancer, states: list[DeploymentState], fields: dict[str, Any]) -> str:
    state = by.choose(states, 0.0, None, fields, "tenant")
    assert state is not None
    return state.config.id


def test_a_prompt_goes_where_its_beginning_was_read() -> None:
    by, states = balancer("prefix"), replicas("a", "b", "c")
    first = {prefix: chosen(by, states, prompt(prefix)) for prefix in range(60)}
    assert all(10 <= count <= 30 for count in Counter(first.values()).values()), "new prompts are spread"
    order = [prefix for prefix in range(60) for _ in range(3)]
    random.Random(1).shuffle(order)
    for number, prefix in enumerate(order):
        assert chosen(by, states, prompt(prefix, f"question {number}")) == first[prefix]


def test_a_conversation_that_grows_stays_where_it_is() -> None:
    by, states = balancer("prefix"), replicas("a", "b", "c")
    for other in range(4):
        chosen(by, states, prompt(other))
    fields = prompt(99)
    at = chosen(by, states, fields)
    for turn in range(6):
        fields["messages"] += [
            {"role": "assistant", "content": f"Answer {turn}. " * 40},
            {"role": "user", "content": "And?"},
        ]
        assert chosen(by, states, fields) == at


def test_a_hot_prefix_cannot_overload_its_replica() -> None:
    by, states = balancer("prefix"), replicas("a", "b", "c")
    for _ in range(60):
        state = by.choose(states, 0.0, None, prompt(1), "tenant")
        assert state is not None
        state.in_flight += 1
    in_flight = [state.in_flight for state in states]
    assert sum(in_flight) == 60
    assert max(in_flight) <= 1.25 * 20 + 1, "a quarter more than its share, and one"
    assert min(in_flight) >= 60 - 2 * 26


def test_a_heavier_replica_may_have_more() -> None:
    by = balancer("prefix")
    states = [*replicas("heavy", weight=3.0), *replicas("light", weight=1.0)]
    for _ in range(40):
        state = by.choose(states, 0.0, None, prompt(1), "tenant")
        assert state is not None
        state.in_flight += 1
    assert states[0].in_flight >= 26


def test_full_resting_down_and_tried_replicas_are_not_asked() -> None:
    for kind in ("prefix", "session", "two_choices"):
        by = balancer(kind)
        states = [*replicas("a", "b"), *replicas("down", health="down")]
        states[0].failed(0.0, 2.0, 30.0)
        assert chosen(by, states, prompt(1, user="u")) == "b"
        assert by.choose(states, 0.0, {"b"}, prompt(1), "t") is states[2], "what is down is asked when no other is left"
        assert by.choose(states, 0.0, {"b", "down"}, prompt(1), "t") is None
        states[1].in_flight = states[1].config.max_in_flight
        assert by.choose(states, 0.0, {"down"}, prompt(1), "t") is None


def test_what_little_of_a_prompt_is_known_does_not_bind_it() -> None:
    by, states = balancer("prefix"), replicas("a", "b")
    system = {"role": "system", "content": "s" * 300}
    texts = [{"role": "user", "content": f"{number} " * 5_000} for number in range(40)]
    counts = Counter(chosen(by, states, {"messages": [system, text]}) for text in texts)
    assert min(counts["a"], counts["b"]) > 8, "one block of forty is shared"


def test_sessions_stay_and_few_move_when_a_replica_goes() -> None:
    by, states = balancer("session"), replicas("a", "b", "c", "d")
    keys = [f"session-{number}" for number in range(400)]
    before = {key: chosen(by, states, {"prompt_cache_key": key}) for key in keys}
    assert all(70 <= count <= 130 for count in Counter(before.values()).values())
    again = balancer("session")
    assert before == {key: chosen(again, states, {"prompt_cache_key": key}) for key in keys}, "any process agrees"
    left = {key: chosen(by, states[:3], {"prompt_cache_key": key}) for key in keys}
    assert all(left[key] == before[key] for key in keys if before[key] != "d")
    assert chosen(by, states, {"user": "ada"}) == chosen(by, states, {"safety_identifier": "ada"})


def test_a_busy_replica_is_passed_over_by_its_sessions() -> None:
    by, states = balancer("session"), replicas("a", "b")
    at = next(state for state in states if state.config.id == chosen(by, states, {"user": "ada"}))
    at.in_flight = 5
    assert chosen(by, states, {"user": "ada"}) != at.config.id


def test_two_choices_never_take_the_busiest() -> None:
    by, states = balancer("two_choices"), replicas("a", "b", "c")
    states[1].in_flight = 7
    assert {chosen(by, states, {}) for _ in range(60)} == {"a", "c"}


def test_new_prompts_of_a_session_go_to_the_same_replica_in_every_process() -> None:
    states = replicas("a", "b", "c")
    for key in range(20):
        fields = prompt(key, prompt_cache_key=str(key))
        assert chosen(balancer("prefix"), states, fields) == chosen(balancer("prefix"), states, fields)


def test_new_prompts_with_one_beginning_go_to_the_same_replica_in_every_process() -> None:
    states = replicas("a", "b", "c")
    for number in range(20):
        short = chosen(balancer("prefix"), states, prompt(number, "x" * 900))
        assert chosen(balancer("prefix"), states, prompt(number, "y" * 1500)) == short


def test_a_new_prompt_does_not_queue_while_another_replica_is_idler() -> None:
    """Two requests ahead are too many where nothing of the prompt is there; for what was read there they are not."""
    for number in range(20):
        by, states = balancer("prefix"), replicas("a", "b", "c")
        preferred = chosen(balancer("prefix"), states, prompt(number))
        states["abc".index(preferred)].in_flight = 2
        elsewhere = chosen(by, states, prompt(number))
        assert elsewhere != preferred
        states["abc".index(preferred)].in_flight = 0
        states["abc".index(elsewhere)].in_flight = 2
        assert chosen(by, states, prompt(number, "another question")) == elsewhere


def test_replicas_come_and_go_with_snapshots() -> None:
    compiler = Compiler(Stages(*[nothing] * 4), GatewayMetrics(MetricRegistry()), lambda _: NoUpstream(), 128)

    def table(*names: str, down: str = "", balance: str = "prefix") -> Any:
        places = [deployment(name, "http://h/v1", health="down" if name == down else "up") for name in names]
        return compiler.compile(snapshot(model("m", *places, balance=balance))).models["m"]

    entry = table("a", "b")
    first = {number: chosen(entry.balancer, entry.deployments, prompt(number)) for number in range(20)}
    assert {*first.values()} == {"a", "b"}
    entry = table("a", "b", "c")
    for number, replica in first.items():
        assert chosen(entry.balancer, entry.deployments, prompt(number)) == replica, (
            "a new table knows what the old did"
        )
    assert "c" in {chosen(entry.balancer, entry.deployments, prompt(number)) for number in range(20, 40)}
    entry = table("a", "b", "c", down="b")
    assert chosen(entry.balancer, entry.deployments, prompt(2)) in ("a", "c")
    assert entry.balancer.index.held("b") == 0, "it comes back with an empty cache"
    entry = table("c", "d")
    assert {chosen(entry.balancer, entry.deployments, prompt(number)) for number in range(40, 60)} == {"c", "d"}
    assert table("c", "d", balance="least_loaded").balancer is None


def test_the_index_is_bounded_and_forgets_the_oldest() -> None:
    index = PrefixIndex(max_blocks=30)
    prompts = [block_hashes(f"{number} " * 1280)[:10] for number in range(10)]
    for hashes in prompts:
        index.note("a", hashes, 0.0)
    assert len(index) == 30
    assert index.held("a") == 30
    assert not index.matches(prompts[0], 0.0)
    assert index.matches(prompts[9], 0.0)[0].blocks == 10
    index.note("a", prompts[7], 0.0)
    index.note("b", block_hashes("new " * 1280)[:10], 0.0)
    assert index.matches(prompts[7], 0.0), "what was used again stays"


BLOCKS = st.lists(st.sampled_from("xyz"), min_size=1, max_size=6)


@given(st.lists(st.tuples(st.sampled_from("abc"), BLOCKS), max_size=12), BLOCKS)
@settings(max_examples=150)
def test_matches_are_what_a_plain_search_finds(noted: list[tuple[str, list[str]]], asked: list[str]) -> None:
    index, plain = PrefixIndex(), {}
    for replica, blocks in noted:
        index.note(replica, block_hashes("".join(block * BLOCK_CHARS for block in blocks)), 0.0)
        for end in range(1, len(blocks) + 1):
            plain.setdefault(replica, set()).add(tuple(blocks[:end]))
    found = {
        match.replica: match.blocks
        for match in index.matches(block_hashes("".join(b * BLOCK_CHARS for b in asked)), 0.0)
    }
    expected = {
        replica: max((end for end in range(1, len(asked) + 1) if tuple(asked[:end]) in seen), default=0)
        for replica, seen in plain.items()
    }
    assert found == {replica: blocks for replica, blocks in expected.items() if blocks}
    assert {name: index.held(name) for name in plain} == {name: len(seen) for name, seen in plain.items()}


def test_the_text_of_a_prompt_has_its_order_and_its_end() -> None:
    fields = {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "u"}}],
            }
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "temperature": 1,
    }
    assert prompt_text(fields).split("\0") == ["function", "f", "user", "text", "hi", "image_url", "u"]
    assert prompt_text({"prompt": [1, 22, 3]}) == "1\x0022\x003"
    assert len(prompt_text({"prompt": "x" * (READ_CHARS + 5)})) == READ_CHARS
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    assert prompt_text({"messages": deep}) == "x"


@pytest.mark.parametrize("count", [0, 1, BLOCK_CHARS - 1])
def test_short_prompts_have_no_blocks(count: int) -> None:
    by = balancer("prefix")
    assert isinstance(by, Prefixes)
    assert block_hashes("x" * count) == []
    assert chosen(by, replicas("a", "b"), {"prompt": "x" * count}) == "a"
    assert len(by.index) == 0


def test_a_hint_counts_for_an_hour_after_it_was_last_read() -> None:
    index = PrefixIndex()
    old, new = block_hashes("old " * 640), block_hashes("new " * 640)
    index.note("a", old, 1_000.0)
    index.note("a", new, 1_000.0)
    index.note("b", new, 3_000.0)
    assert [match.replica for match in index.matches(old, 1_000.0 + 3_590)] == ["a"]
    assert {match.replica for match in index.matches(new, 3_000.0 + 3_590)} == {"a", "b"}
    assert not index.matches(old, 1_000.0 + 3_720)
    assert (len(index), index.held("a"), index.held("b")) == (len(new), len(new), len(new))
    assert not index.matches(new, 3_000.0 + 3_720)
    assert (len(index), index.held("a"), index.held("b")) == (0, 0, 0)


def test_with_little_to_do_replicas_get_their_shares_one_after_the_other() -> None:
    states = [*replicas("a", weight=2), *replicas("b"), *replicas("canary", weight=0.1)]
    asked = Counter(choose(states, float(second)).config.id for second in range(310))  # type: ignore[union-attr]
    assert asked["a"] == pytest.approx(200, abs=3)
    assert asked["b"] == pytest.approx(100, abs=3)
    assert asked["canary"] == pytest.approx(10, abs=3)
    alone = replicas("new")[0]
    after = Counter(choose([*states, alone], 310.0 + second).config.id for second in range(40))  # type: ignore[union-attr]
    assert after["new"] == pytest.approx(10, abs=3), "one that joins does not make up for what it missed"


def test_the_usual_latency_rises_at_once_and_is_forgotten() -> None:
    usual = Usual()
    assert usual.expected(0.0) is None
    usual.note(0.1, 0.0)
    usual.note(2.0, 1.0)
    assert usual.expected(1.0) == 2.0
    usual.note(0.1, 1.0 + FORGOTTEN_AFTER_S)
    assert usual.expected(1.0 + FORGOTTEN_AFTER_S) == pytest.approx(0.1 + 1.9 / 2.718281828)
    assert usual.expected(200.0) == pytest.approx(0.0, abs=1e-6)


def test_the_quicker_replica_gets_more_and_the_slow_one_is_tried_again() -> None:
    by, states = balancer("latency"), replicas("quick", "slow")
    by.use(states)
    took = {"quick": 0.1, "slow": 0.4}
    asked: Counter[str] = Counter()
    for tenth in range(1000):
        state = by.choose(states, tenth / 10, None, {}, "tenant")
        assert state is not None
        asked[state.config.id] += 1
        assert state.usual is not None
        state.usual[False].note(took[state.config.id], tenth / 10)
    assert 0 < asked["slow"] < 150
    states[0].in_flight = 9
    again = Counter(chosen(by, states, {}) for _ in range(20))
    assert again == {"slow": 20}, "a queue outweighs what is quick by itself"


def test_streams_are_judged_by_their_first_events() -> None:
    by, states = balancer("latency"), replicas("a", "b")
    by.use(states)
    for state, whole, first in zip(states, (0.2, 3.0), (2.0, 0.1), strict=True):
        assert state.usual is not None
        state.usual[False].note(whole, 0.0)
        state.usual[True].note(first, 0.0)
    assert {chosen(by, states, {}) for _ in range(10)} == {"a"}
    assert {chosen(by, states, {"stream": True}) for _ in range(10)} == {"b"}


def test_a_replica_without_a_latency_counts_as_quick_as_the_quickest() -> None:
    by, states = balancer("latency"), replicas("known", "new")
    by.use(states)
    assert states[0].usual is not None
    states[0].usual[False].note(0.5, 0.0)
    states[0].in_flight = 1
    assert chosen(by, states, {}) == "new"
    states[1].in_flight = 2
    assert chosen(by, states, {}) == "known"
