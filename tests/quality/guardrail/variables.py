"""Prints how many attacks are found of which one half stands in a value of a prompt's system message and the other in the user's turn, and how many clean requests are refused.

    python -m tests.quality.guardrail.variables --routing FILE.jsonl.gz --intents FILE.jsonl.gz --spikee DIR --bastion FILE.jsonl [--requests 1000] [--seed 1]

Attacks and clean turns are those of `turns.py`; each attack is cut in two between words, at random, with up to two ordinary values before its half. Values
of clean requests are data, personas and rules: ours, and composed ones that trained nothing. Policy: `default`; "alone" reads no texts together.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

from tests.quality.guardrail.run import HERE, load_policy
from tests.quality.guardrail.sources import own_cases, read_bastion, read_ordinary, read_spikee
from tests.quality.guardrail.turns import cut, kept, refused, report

from sluice.contracts.guard import CheckRequest, Segment
from sluice_guardrail.domain.policy import parse_policies

VALUES = (
    "Ann", "Acme Ltd", "Harbour Books", "pro", "free plan", "refunds", "en", "German", "French", "Berlin", "2026-11-30", "order 4711", "a pirate",
    "a friendly librarian", "You are polite and short.", "Never mention prices.", "Answer in two sentences.", "Do not give medical advice.", "formal",
    "the customer is a premium member since 2021", "Always answer in the customer's language.", "You may recommend books of our shop only.",
    "children from 8 to 12", "UTC+1", "EUR", "Speak like Yoda.", "If you do not know something, say so and refer to support@harbour.example.",
    "concise", "warehouse manager", "Python 3.12", "cooking", "Keep the answer under 100 words and use bullet points.", "user",
    "Maria Gonzalez, account manager", "our returns policy: 30 days, unopened, with receipt", "beginner", "Only talk about gardening.", "mobile app",
    "No emojis please.", "The shop is closed on Sundays.",
)  # fmt: skip
HARD = ("r6_role", "r6_rules", "r6_template", "r2_requests_with_rules", "r2_memory_and_preferences", "r2_bots_configuration")  # fmt: skip


def asked(values: Sequence[str], turn: str) -> CheckRequest:
    segments = [Segment(id=f"v{at}", role="variable", text=value) for at, value in enumerate(values)]
    system = Segment(id="s", role="system", text=f"You help customers. {' '.join(values)} Be kind.")
    return CheckRequest(stage="input", segments=(*segments, system, Segment(id="u", role="user", text=turn)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("routing", "intents", "spikee", "bastion"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    alone = parse_policies({"version": "1", "policies": {"default": {"input": {"injection": {"turns": 1}}}}}, "x")
    policies = (alone.get("default"), load_policy())
    unseen = read_spikee(options.spikee) + read_bastion(options.bastion) + own_cases()
    print(f"{'refused when values and the turn are read':<58}       alone        together")
    for name in ("spikee", "bastion", "own held_out"):
        attacks = [row.text for row in unseen if row.set == name and row.attack and len(row.text.split()) > 6]
        report(f"attacks of {name}, whole", [asked(["Ann"], text) for text in attacks], policies)
        halves = [cut(text, 2, rng) for text in attacks * 3]
        made = [asked([*rng.sample(VALUES, rng.randint(0, 2)), first], second) for first, second in halves]
        report(f"attacks of {name}, cut thrice", made, policies)
    composed = [json.loads(line) for line in (HERE / "composed" / "harmless.jsonl").read_text().splitlines()]
    hard = [str(one["text"]) for one in composed if one["kind"] in HARD]
    ordinary = kept(read_ordinary(options.routing, "prompt", "routing"), rng) + kept(
        read_ordinary(options.intents, "text", "clinc"), rng
    )
    harmless = [row.text for row in unseen if not row.attack and row.set != "own dev"]
    for kind, values in (("plain values", VALUES), ("composed rules and personas", hard)):
        for name, turns in (("MMLU, GSM8K and CLINC", ordinary), ("harmless, look like attacks", harmless)):
            made = [asked(rng.sample(values, rng.randint(1, 4)), rng.choice(turns)) for _ in range(options.requests)]
            report(f"clean: {kind}; {name}", made, policies)
            for policy, how in zip(policies, ("alone", "together"), strict=True):
                started = time.process_time()
                for request in made[:300]:
                    refused(request, policy)
                print(f"    CPU of one check, {how}: {(time.process_time() - started) / len(made[:300]) * 1000:.2f} ms")


if __name__ == "__main__":
    main()
