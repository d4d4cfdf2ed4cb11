"""Prints how well the guardrail tells prompt injection from talk about it, and how long a check takes.

    python -m tests.quality.guardrail.run [--bipia FILE.json.gz] [--extra FILE.jsonl] [--phrases] [--pieces 100]

The cases beside this file are our own: `dev` was looked at while the rules were written, `held_out` was not. `--bipia`
takes the attacks of a BIPIA text split, and `--extra` any JSON lines of {"text", "label": 0 | 1}; neither is part of
the repository. `--pieces` adds what is refused of source code, data and documentation of this machine (`machine.py`), which is all harmless.
"""

import argparse
import gzip
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from tests.quality.guardrail.machine import SIZES, files, pieces

from sluice.contracts.guard import CheckRequest
from sluice_guardrail.adapters.encoder import open_encoder
from sluice_guardrail.adapters.head_file import load_cascade, load_hidden_head
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.injection import Heads
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies

HERE = Path(__file__).parent
POLICY_FILE = HERE.parents[2] / "deploy" / "config" / "guard.yaml"
KILOBYTE = 1024
HEADS = Heads(load_cascade(open_encoder), load_hidden_head())


@dataclass(frozen=True)
class Case:
    id: str
    split: str
    family: str
    text: str
    attack: bool


@dataclass(frozen=True)
class Score:
    name: str
    caught: int
    attacks: int
    refused: int
    benign: int

    @property
    def recall(self) -> float:
        return self.caught / self.attacks if self.attacks else float("nan")

    @property
    def precision(self) -> float:
        blocked = self.caught + self.refused
        return self.caught / blocked if blocked else float("nan")

    @property
    def over_refusal(self) -> float:
        return self.refused / self.benign if self.benign else float("nan")


def own_cases() -> list[Case]:
    return [
        Case(**json.loads(line), attack=attack)
        for name, attack in (("attacks", True), ("benign", False))
        for line in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def bipia_cases(path: Path) -> list[Case]:
    families: dict[str, list[str]] = json.loads(gzip.decompress(path.read_bytes()))
    return [
        Case(f"{family} {number}", "bipia", family, text, attack=True)
        for family, texts in families.items()
        for number, text in enumerate(texts)
    ]


def extra_cases(path: Path) -> list[Case]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Case(f"extra {n}", "extra", "extra", row["text"], attack=bool(row["label"])) for n, row in enumerate(rows)]


def load_policy(name: str = "default", *, head: bool = True, threshold: float | None = None) -> NamedPolicy:
    """Return a policy of the file that Sluice comes with, with or without the trained readings, or with another threshold of injections."""
    content = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    injection = content["policies"][name]["input"]["injection"]
    injection["classifier"] = head
    if threshold is not None:
        injection["threshold"] = threshold
    return parse_policies(content, str(POLICY_FILE)).get(name)


def blocks(text: str, policy: NamedPolicy) -> bool:
    verdict = check(CheckRequest(stage="input", text=text), policy, lambda: None, HEADS)
    return "prompt_injection" in verdict.issues


def score(name: str, cases: Iterable[Case], policy: NamedPolicy) -> Score:
    results = [(case.attack, blocks(case.text, policy)) for case in cases]
    return Score(
        name,
        caught=sum(attack and hit for attack, hit in results),
        attacks=sum(attack for attack, _ in results),
        refused=sum(hit and not attack for attack, hit in results),
        benign=sum(not attack for attack, _ in results),
    )


def report_pieces(policy: NamedPolicy, each: int, packages: Path | None) -> None:
    """Print how many pieces of files are refused, of packages that no head was trained on."""
    found = [row for row in files(each * 2, packages) if row.set == "machine report"]
    for size in SIZES:
        refused: dict[str, list[bool]] = defaultdict(list)
        for row in pieces(found, size, each):
            refused[row.family].append(blocks(row.text, policy))
        every = [one for kept in refused.values() for one in kept]
        kinds = ", ".join(f"{kind} {sum(kept)}/{len(kept)}" for kind, kept in sorted(refused.items()))
        print(
            f"pieces of {size} characters: {sum(every)} of {len(every)} refused ({sum(every) / len(every):.1%}): {kinds}"
        )


def chat_text(size: int) -> str:
    """Return ordinary chat text of about `size` characters, with a few findings in it."""
    sentence = (
        "Hello, I ordered a coffee machine two weeks ago and it still has not arrived, although the page said three days. "
        "Could you look up what the carrier says, and tell me whether I can change the address to my office instead? "
        "You can reach me at erika.mustermann@example.org or under +49 30 901820 after 5 pm. The system shows order 4711. "
        "I also read the instructions for returning it, and I was wondering which rules apply when the box was opened. "
    )
    return (sentence * (size // len(sentence) + 1))[:size]


def latencies(policy: NamedPolicy, size: int, repeats: int) -> Sequence[float]:
    """Return the CPU milliseconds of checks of one text of `size` characters."""
    request = CheckRequest(stage="input", text=chat_text(size))
    check(request, policy, lambda: None, HEADS)
    times = []
    for _ in range(repeats):
        started = time.process_time()
        check(request, policy, lambda: None, HEADS)
        times.append((time.process_time() - started) * 1000)
    return sorted(times)


def _percent(value: float) -> str:
    return f"{value:6.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bipia", type=Path, help="text_attack_*.json.gz of BIPIA")
    parser.add_argument("--extra", type=Path, help='JSON lines of {"text", "label"}')
    parser.add_argument("--phrases", action="store_true", help="score the phrases alone, without the trained head")
    parser.add_argument("--pieces", type=int, default=0, help="pieces of every kind and size of this machine's files")
    parser.add_argument(
        "--packages",
        type=Path,
        help="folder `files` of what `collect.py` brought; without it only this machine's files",
    )
    parser.add_argument("--misses", action="store_true", help="name the cases that were decided wrongly")
    arguments = parser.parse_args()
    policy = load_policy(head=not arguments.phrases)
    cases = own_cases()
    groups = [(split, [case for case in cases if case.split == split]) for split in ("dev", "held_out")]
    if arguments.bipia:
        groups.append(("bipia", bipia_cases(arguments.bipia)))
    if arguments.extra:
        groups.append(("extra", extra_cases(arguments.extra)))
    print(f"{'set':<10} {'attacks':>8} {'benign':>7} {'recall':>7} {'precision':>10} {'over-refusal':>13}")
    for name, members in groups:
        found = score(name, members, policy)
        print(
            f"{name:<10} {found.attacks:>8} {found.benign:>7} {_percent(found.recall):>7} "
            f"{_percent(found.precision):>10} {_percent(found.over_refusal):>13}"
        )
    if arguments.pieces:
        report_pieces(policy, arguments.pieces, arguments.packages)
    if arguments.misses:
        for case in cases:
            if blocks(case.text, policy) != case.attack:
                print(f"{'missed ' if case.attack else 'refused'} {case.id} {case.split:<8} {case.text!r}")
    print("\ncharacters   CPU p50 ms   CPU p95 ms   p50 ms per KB   p95 ms per KB")
    for size, repeats in ((200, 400), (KILOBYTE, 400), (2 * KILOBYTE, 400), (16 * KILOBYTE, 60), (128 * KILOBYTE, 10)):
        times = latencies(policy, size, repeats)
        p50, p95 = statistics.median(times), times[int(len(times) * 0.95)]
        kilobytes = size / KILOBYTE
        print(f"{size:>10} {p50:>12.3f} {p95:>12.3f} {p50 / kilobytes:>15.3f} {p95 / kilobytes:>15.3f}")


if __name__ == "__main__":
    main()
