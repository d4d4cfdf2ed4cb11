"""A threshold that tunes itself: lower only when answers are known to agree, higher when they do not, never beyond its bounds."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.contracts.routing import CachePolicy, Policy, SemanticCache, SemanticTuning
from sluice.errors import DependencyUnavailable
from sluice.testing import FakeClock
from sluice_gateway.cache.tuning import Pair, Thresholds
from sluice_gateway.dataplane.plan import stricter
from sluice_gateway.domain.threshold import Sample, same_numbers, tuned

TUNING = SemanticTuning(least=0.85, most=0.99, max_error=0.05)
POLICY = SemanticCache(threshold=0.95, tune=TUNING)


def right_above(limit: float, count: int, seed: int = 1) -> list[Sample]:
    drawn = random.Random(seed)
    return [Sample(one, one >= limit) for one in (drawn.uniform(0.85, 1.0) for _ in range(count))]


def test_it_stays_where_it_is_until_enough_is_known() -> None:
    assert tuned([], POLICY).threshold == 0.95
    assert tuned([Sample(0.96, True)] * 51, POLICY).threshold == 0.95, "51 right ones are compatible with 5 % wrong"
    assert tuned([Sample(0.96, True)] * 52, POLICY).threshold == 0.85
    assert tuned(right_above(0.9, 500), SemanticCache(threshold=0.95)).threshold == 0.95, "it is not asked to tune"


@pytest.mark.parametrize("limit", [0.88, 0.91, 0.94])
def test_it_finds_where_answers_begin_to_agree(limit: float) -> None:
    found = tuned(right_above(limit, 500), POLICY)
    assert limit - 0.01 <= found.threshold <= limit + 0.01
    assert found.wrong <= 0.05 * found.reaching


def test_it_rises_when_answers_do_not_agree_and_no_further_than_it_may() -> None:
    assert 0.965 <= tuned(right_above(0.97, 300), POLICY).threshold <= 0.975
    assert tuned([Sample(0.999, False)] * 30, POLICY).threshold == 0.99
    assert tuned([Sample(0.999, False)] * 19, POLICY).threshold == 0.95, "too few to say so"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.85, 1), st.booleans()), max_size=120))
def test_it_never_leaves_its_bounds_and_lowers_only_within_the_bound_on_errors(rows: list[tuple[float, bool]]) -> None:
    found = tuned([Sample(*row) for row in rows], POLICY)
    assert 0.85 <= found.threshold <= 0.99
    if found.threshold < POLICY.threshold:
        assert found.reaching >= 50
        assert found.wrong <= 0.05 * found.reaching


def test_of_two_policies_the_narrower_bounds_count_and_a_fixed_threshold_stays_fixed() -> None:
    def policy(semantic: SemanticCache) -> Policy:
        return Policy(name=f"at-{semantic.threshold}", cache=CachePolicy(semantic=semantic))

    other = SemanticCache(threshold=0.9, tune=SemanticTuning(least=0.88, most=0.95, max_error=0.1, share=0.5))
    both = stricter(policy(POLICY), policy(other))
    assert both is not None
    assert both.cache is not None
    tune = SemanticTuning(least=0.88, most=0.99, max_error=0.05, share=0.5)
    assert both.cache.semantic == SemanticCache(threshold=0.95, tune=tune)
    fixed = stricter(policy(POLICY), policy(SemanticCache(threshold=0.9)))
    assert fixed is not None
    assert fixed.cache is not None
    assert fixed.cache.semantic == SemanticCache(threshold=0.95)


def test_numbers_that_differ_are_answers_that_differ() -> None:
    assert same_numbers("It costs $50 in 2 shops", "2 shops sell it, for $50")
    assert not same_numbers("It costs $50", "It costs $60")


class Seen:
    """Samples in memory, and a comparison that says what the test wants."""

    def __init__(self) -> None:
        self.rows: list[Sample] = []
        self.alike = 1.0
        self.away = False

    async def get(self, name: str) -> list[Sample]:
        if self.away:
            raise DependencyUnavailable("away")
        return self.rows

    async def put(self, name: str, sample: Sample, policy: SemanticCache) -> None:
        if self.away:
            raise DependencyUnavailable("away")
        self.rows.insert(0, sample)

    async def likeness(self, one: str, other: str, *, tenant: str) -> float:
        return self.alike


async def test_requests_get_what_is_known_and_wait_for_nothing() -> None:
    seen, clock, told = Seen(), FakeClock(), []
    seen.rows = [Sample(0.96, True)] * 60
    mine = Thresholds(seen, seen, clock, on_threshold=lambda name, found: told.append((name, found)))
    assert mine.of("m", POLICY) == 0.95, "the first request does not wait for the look"
    await mine.close()
    assert (mine.of("m", POLICY), told) == (0.85, [("m", 0.85)])
    seen.away = True
    clock.advance(11)
    assert mine.of("m", POLICY) == 0.85
    await mine.close()
    assert mine.of("m", POLICY) == 0.85, "what was known stays while Redis is away"


async def test_pairs_of_answers_are_compared_by_numbers_and_embeddings() -> None:
    seen, told = Seen(), []
    mine = Thresholds(seen, seen, FakeClock(), on_sample=lambda name, agrees: told.append(agrees))
    mine.learn("m", POLICY, Pair(0.97, "It costs $50.", "It costs $60."), tenant="t")
    await mine.close()
    mine.learn("m", POLICY, Pair(0.96, "Paris.", "It is Paris."), tenant="t")
    await mine.close()
    seen.alike = 0.3
    mine.learn("m", POLICY, Pair(0.95, "Paris.", "No idea."), tenant="t")
    await mine.close()
    assert [(one.similarity, one.agrees) for one in seen.rows] == [(0.95, False), (0.96, True), (0.97, False)]
    assert told == [False, True, False]


def test_what_is_sampled_follows_the_share() -> None:
    draws = iter([0.09, 0.1, 0.11])
    mine = Thresholds(Seen(), Seen(), FakeClock(), draw=lambda: next(draws))
    assert [mine.samples(SemanticTuning(share=0.1)) for _ in range(3)] == [True, False, False]
