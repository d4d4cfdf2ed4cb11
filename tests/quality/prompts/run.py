"""What the tuning of a split does with outcomes of known versions: python -m tests.quality.prompts.run

Outcomes are drawn from versions whose true quality is known, as a split with its weights of the moment would have drawn them; every 50
requests the rule looks. Printed are how often it was wrong (of equal versions one was put in use; of unequal ones the worse), how many
requests a decision took, and what share of requests the best version had, for which an even split has one in two. The drawing is seeded.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sluice.contracts.prompts import PromptShare, PromptSplit, PromptTuning
from sluice_gateway.domain.prompt_tuning import Measured, Seen, judged, of_scores, of_sums

Draw = Callable[[random.Random], float]


class Case(NamedTuple):
    """Versions by how their outcomes are drawn; the last is the best, unless they are equal."""

    name: str
    tuning: PromptTuning
    versions: tuple[Draw, ...]
    equal: bool = False


class Ended(NamedTuple):
    """How one split ended: with which version in use, after how many requests, and how many the best one had."""

    winner: int | None
    requests: int
    of_best: int


def liked(share: float) -> Draw:
    """Return thumbs that are up with this probability."""
    return lambda dice: float(dice.random() < share)


def took(milliseconds: float) -> Draw:
    """Return latencies with this mean and a long tail (lognormal, sigma 0.6)."""
    return lambda dice: milliseconds * dice.lognormvariate(-0.18, 0.6)


def run(case: Case, requests: int, seed: int) -> Ended:
    """Let one split run until a version is put in use or the requests are over."""
    dice = random.Random(seed)
    count = len(case.versions)
    sums = [[0, 0.0, 0.0] for _ in case.versions]
    split = PromptSplit(
        shares=tuple(PromptShare(version=place + 1, weight=100 / count) for place in range(count)), tune=case.tuning
    )
    for number in range(1, requests + 1):
        place = dice.choices(range(count), [share.weight for share in split.shares])[0]
        value = case.versions[place](dice)
        kept = sums[place]
        kept[0], kept[1], kept[2] = kept[0] + 1, kept[1] + value, kept[2] + value * value
        if number % 50:
            continue
        seen = {place + 1: _seen(case.tuning, *kept) for place, kept in enumerate(sums)}
        found = judged(split, case.tuning, Measured(seen, {}))
        if found.does == "promote":
            return Ended(found.winner, number, int(sums[-1][0]))
        if found.does == "tune":
            split = PromptSplit(shares=found.shares, tune=case.tuning)
    return Ended(None, requests, int(sums[-1][0]))


def _seen(tuning: PromptTuning, count: float, total: float, squares: float) -> Seen:
    if tuning.objective in ("feedback", "validity"):
        return of_scores(int(count), total)
    return of_sums(int(count), total, squares)


CASES = (
    Case("equal, liked 70 %", PromptTuning(objective="feedback"), (liked(0.7), liked(0.7)), equal=True),
    Case("equal, valid 98 %", PromptTuning(objective="validity"), (liked(0.98), liked(0.98)), equal=True),
    Case("equal, 800 ms", PromptTuning(objective="latency"), (took(800), took(800)), equal=True),
    Case("three equal, liked 70 %", PromptTuning(objective="feedback"), (liked(0.7),) * 3, equal=True),
    Case("liked 70 % and 80 %", PromptTuning(objective="feedback"), (liked(0.7), liked(0.8))),
    Case("liked 70 %, 70 % and 80 %", PromptTuning(objective="feedback"), (liked(0.7), liked(0.7), liked(0.8))),
    Case("valid 90 % and 98 %", PromptTuning(objective="validity"), (liked(0.9), liked(0.98))),
    Case("1,000 and 800 ms", PromptTuning(objective="latency"), (took(1000), took(800))),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=200, help="splits of each case")
    parser.add_argument("--requests", type=int, default=5000, help="requests of a split at most")
    options = parser.parse_args(arguments)
    print("| versions | decided | wrongly | requests until then, median | of them to the best |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for case in CASES:
        ended = [run(case, options.requests, seed) for seed in range(options.splits)]
        decided = [one for one in ended if one.winner is not None]
        wrong = decided if case.equal else [one for one in decided if one.winner != len(case.versions)]
        took_requests = sorted(one.requests for one in decided)
        median = f"{took_requests[len(took_requests) // 2]:,}" if decided and not case.equal else "–"
        best = "–" if case.equal else f"{sum(one.of_best for one in ended) / sum(one.requests for one in ended):.0%}"
        shares = [len(group) / options.splits for group in (decided, wrong)]
        print(f"| {case.name} | {shares[0]:.1%} | {shares[1]:.1%} | {median} | {best} |", flush=True)


if __name__ == "__main__":
    main()
