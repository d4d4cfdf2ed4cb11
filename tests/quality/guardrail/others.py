"""Reads attacks and harmless look-alikes that other people wrote, out of the public repositories that `collect.py` brings at named commits.

What trains and what only scores are kept apart: nothing that is published to score models or guards by (benchmarks, test splits, a tool's own test cases) or that has no licence for training (Tensor Trust) is in `trained()`, which also sets
the working point. Nothing of it is part of this repository; the model card names the licences, and says of each collection why it is no test set.
"""

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
from tests.quality.guardrail.sources import json_lines
from tests.quality.guardrail.training import Row

LEARNT = {
    "07/awesome-chatgpt-prompts": "21b5ce99beb752dc0b088b60cdff18de4f9ee497",
    "A73r0id/promptwall": "1823f928076e5af1eea0fd017a92fb742dfddc8d",
    "Giskard-AI/prompt-injections": "ce50a549dadc46b48c931250d2dd71d5f003c0c2",
    "Ridwannurudeen/warden": "938234249c23f966d3b8da578204af7725c678ae",
    "marklkelly/fastly-injection-detector": "177d7bcf7295dc3f7bf6c52efaee94e6fb7a312d",
    "mustvlad/ChatGPT-System-Prompts": "e19d82a2a77c5dc06ad17a92fcb28782ae61c753",
    "mwill20/ai-guardrails": "181051230a80ba1a6a7e9a48dac585104e436c43",
    "openai/grade-school-math": "3101c7d5072418e28b9008a6636bde82a006892c",
    "sinanw/llm-security-prompt-injection": "c8af0b015a9a4f3380f9e20214828c2dbeadc72c",
    "teknium1/GPTeacher": "481075123c29854bddb82655badeef6a438f2436",
    "yizhongw/self-instruct": "0b26ccaa415992100fa32df62d41b994cf928e23",
}
"""The repositories on GitHub that train, and at which commit; of deepset's prompt injections (sinanw) the test split scores."""

SCORED = {
    "HumanCompatibleAI/tensor-trust-data": "e2385ea9cf448c9641b96e2e39f113ed4979a5b0",
    "JailbreakBench/artifacts": "909e68c01d94222b8ad2e397a017e2e12e2adb73",
    "johncarmack1984/promptward": "d1b75cf699af5f21fb43a605f8d8fd0ddb7a327e",
    "leolee99/PIGuard": "1b5751e88bf7475acbedfc8eda795ce060307c84",
    "meta-llama/PurpleLlama": "4be64c3a24442b51c76175e6ec67722cc3f5fe38",
    "ogulcanaydogan/Prompt-Injection-Firewall": "d4a3041539ac6d1303ef05d98c59e596296aec1d",
    "paul-rottger/exaggerated-safety": "d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d",
}
"""Those that only score."""

COMMITS = LEARNT | SCORED

csv.field_size_limit(sys.maxsize)  # prompts in these collections are long

DEEPSET = "data/raw/{}-00000-of-00001-{}.parquet"
ROLE_IS_ATTACK = re.compile(
    r"(?i)do anything now|\bDAN\b|jailbr|uncensored|unfiltered|no (?:ethic|moral|restrict|limit|filter|rules)|never refus|without (?:any )?(?:restrict|limit|censor|filter)|illegal|immoral|"
    r"ignore (?:all|any|your|the|every|previous)|content polic|openai polic|guidelines|nsfw|erotic|sexual"
)
"""What an "ordinary" prompt of a public collection says where it is a jailbreak that its collector did not notice; such rows are left out."""


def folder_of(data: Path, name: str) -> Path:
    """Return where `collect.py` puts a repository."""
    return data / "repositories" / name.replace("/", "+")


def share_of(text: str, parts: int) -> int:
    """Return to which of so many parts a text belongs, by hash."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:4], "big") % parts


def trained(data: Path) -> list[Row]:
    """Return what may train: attacks, and harmless texts that look like them or tell an assistant what to be. One harmless text in five is in the set `others calibrate` and sets the point."""
    rows = [Row(text, True, name, "others") for name, text in _attacks(data)]
    for name, text in _harmless(data):
        rows.append(Row(text, False, name, "others" if share_of(text, 5) else "others calibrate"))
    rows += [Row(text, False, name, "others") for name, text in _many(data) if share_of(text, 2)]
    return _once(rows)


def sums(data: Path) -> list[str]:
    """Return the questions of GSM8K's train split: ordinary requests."""
    path = folder_of(data, "openai/grade-school-math") / "grade_school_math/data/train.jsonl"
    return [str(one["question"]) for one in json_lines(path)]


def scored(data: Path) -> list[Row]:
    """Return what only scores: public test sets of attacks, and of harmless prompts that other guards refuse."""
    rows = []
    for number in ("one", "two", "three"):
        found = json.loads(
            (folder_of(data, "leolee99/PIGuard") / f"datasets/NotInject_{number}.json").read_text(encoding="utf-8")
        )
        rows += [Row(str(one["prompt"]), False, str(one["category"]), "NotInject") for one in found]
    with (folder_of(data, "paul-rottger/exaggerated-safety") / "xstest_prompts.csv").open(
        encoding="utf-8", newline=""
    ) as file:
        rows += [
            Row(line["prompt"], False, line["type"], "XSTest, safe")
            for line in csv.DictReader(file)
            if line["label"] == "safe"
        ]
    bench = folder_of(data, "meta-llama/PurpleLlama") / "CybersecurityBenchmarks/datasets"
    found = json.loads((bench / "mitre_frr/mitre_frr.json").read_text(encoding="utf-8"))
    rows += [
        Row(str(one["mutated_prompt"]), False, "requests for code", "CyberSecEval, MITRE false refusals")
        for one in found
    ]
    found = json.loads((bench / "prompt_injection/prompt_injection.json").read_text(encoding="utf-8"))
    rows += [
        Row(str(one["user_input"]), True, str(one["injection_variant"]), f"CyberSecEval, {one['injection_type']}")
        for one in found
    ]
    for kind in ("hijacking", "extraction"):
        lines = json_lines(
            folder_of(data, "HumanCompatibleAI/tensor-trust-data")
            / f"benchmarks/{kind}-robustness/v1/{kind}_robustness_dataset.jsonl"
        )
        rows += [Row(str(one["attack"]), True, kind, f"Tensor Trust, {kind}") for one in lines]
    artifacts = folder_of(data, "JailbreakBench/artifacts") / "attack-artifacts"
    for name, path in (("JBC", "JBC/manual"), ("PAIR", "PAIR/black_box")):
        found = json.loads((artifacts / path / "vicuna-13b-v1.5.json").read_text(encoding="utf-8"))["jailbreaks"]
        rows += [Row(str(one["prompt"]), True, name, f"JailbreakBench, {name}") for one in found if one["prompt"]]
    rows += [
        Row(text, attack, "deepset", "deepset, test") for text, attack in _deepset(data, "test", "701d16158af87368")
    ]
    return _once([*rows, *_gateways(data)])


def _gateways(data: Path) -> Iterator[Row]:
    """Yield the benchmarks that two gateways publish their own figures on."""
    folder = folder_of(data, "ogulcanaydogan/Prompt-Injection-Firewall") / "benchmarks/dataset"
    for file, attack in (("injections", True), ("benign", False)):
        found = json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))["samples"]
        yield from (Row(str(one["text"]), attack, str(one["category"]), "prompt-injection-firewall") for one in found)
    folder = folder_of(data, "johncarmack1984/promptward") / "evals/datasets"
    for file, attack in (("injection", True), ("benign", False)):
        yield from (
            Row(str(one["text"]), attack, str(one["bucket"]), "promptward")
            for one in json_lines(folder / f"{file}.jsonl")
        )


def _attacks(data: Path) -> Iterator[tuple[str, str]]:
    yield from (("deepset", text) for text, attack in _deepset(data, "train", "9564e8b05b4757ab") if attack)
    name, wanted = (
        "Ridwannurudeen/warden",
        {"ROLE_OVERRIDE", "PROMPT_INJECTION", "SECRET_EXFIL", "TOOL_HIJACK", "ENCODING_TRICK"},
    )
    found = json_lines(folder_of(data, name) / "corpus/attacks.jsonl")
    yield from ((name, str(one["payload"])) for one in found if one["category"] in wanted)
    for name, path in (
        ("A73r0id/promptwall", "data/attacks.jsonl"),
        ("mwill20/ai-guardrails", "datasets/TrustAIRLab_jailbreak.jsonl"),
    ):
        yield from ((name, str(one["prompt"])) for one in json_lines(folder_of(data, name) / path))
    name = "Giskard-AI/prompt-injections"
    with (folder_of(data, name) / "prompt_injections.csv").open(encoding="utf-8", newline="") as file:
        yield from ((name, line["prompt"]) for line in csv.DictReader(file))
    yield from _edge_cases(data, 1)


def _harmless(data: Path) -> Iterator[tuple[str, str]]:
    yield from (("deepset", text) for text, attack in _deepset(data, "train", "9564e8b05b4757ab") if not attack)
    for name, path, field in (
        ("Ridwannurudeen/warden", "corpus/benign.jsonl", "payload"),
        ("yizhongw/self-instruct", "data/seed_tasks.jsonl", "instruction"),
    ):
        yield from ((name, str(one[field])) for one in json_lines(folder_of(data, name) / path))
    name = "mwill20/ai-guardrails"
    roles = (
        str(one["prompt"])
        for one in json_lines(folder_of(data, name) / "datasets/TrustAIRLab_regular_2023_12_25_CLEANED.jsonl")
    )
    yield from ((name, text) for text in roles if not ROLE_IS_ATTACK.search(text))
    yield from _edge_cases(data, 0)
    name = "07/awesome-chatgpt-prompts"
    with (folder_of(data, name) / "prompts.csv").open(encoding="utf-8", newline="") as file:
        yield from ((name, line["prompt"]) for line in csv.DictReader(file))
    name = "mustvlad/ChatGPT-System-Prompts"
    yield from (
        (name, path.read_text(encoding="utf-8")) for path in sorted((folder_of(data, name) / "prompts").rglob("*.md"))
    )


def _edge_cases(data: Path, label: int) -> Iterator[tuple[str, str]]:
    name = "marklkelly/fastly-injection-detector"
    found = json_lines(folder_of(data, name) / "ml/data/manual/edge_case_corpus_v1.jsonl")
    yield from ((name, str(one["text"])) for one in found if one["label"] == label)


def _many(data: Path) -> Iterator[tuple[str, str]]:
    """Yield harmless requests of large collections, which train and set no point, so that they do not outnumber what looks like an attack."""
    name = "teknium1/GPTeacher"
    for path in ("Roleplay/roleplay-simple-deduped-roleplay-instruct.json", "Codegen/codegen-instruct.json"):
        found = json.loads((folder_of(data, name) / path).read_text(encoding="utf-8"))
        yield from ((name, f"{one['instruction']} {one['input']}".strip()) for one in found)


def _deepset(data: Path, split: str, name: str) -> list[tuple[str, bool]]:
    path = folder_of(data, "sinanw/llm-security-prompt-injection") / DEEPSET.format(split, name)
    return [(str(text), label == 1) for text, label in duckdb.read_parquet(str(path)).project("text, label").fetchall()]


def _once(rows: Iterable[Row]) -> list[Row]:
    return list({(row.text.strip(), row.set, row.attack): row for row in rows if row.text.strip()}.values())
