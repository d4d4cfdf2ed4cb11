"""Reads attacks and harmless look-alikes that other people wrote, out of the public repositories that `collect.py` brings at named commits.

What trains and what only scores are kept apart by repository: nothing that stands in a public test set (NotInject, XSTest, CyberSecEval, JailbreakBench, the test split
of deepset's prompt injections) or has no licence for training (Tensor Trust) is in `trained()` or `chosen()`. Nothing of it is part of this repository; the model card
names the licences.
"""

import ast
import csv
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
from tests.quality.guardrail.training import Row

COMMITS = {
    "07/awesome-chatgpt-prompts": "21b5ce99beb752dc0b088b60cdff18de4f9ee497",
    "A73r0id/promptwall": "1823f928076e5af1eea0fd017a92fb742dfddc8d",
    "Giskard-AI/prompt-injections": "ce50a549dadc46b48c931250d2dd71d5f003c0c2",
    "HumanCompatibleAI/tensor-trust-data": "e2385ea9cf448c9641b96e2e39f113ed4979a5b0",
    "JailbreakBench/artifacts": "909e68c01d94222b8ad2e397a017e2e12e2adb73",
    "Qu4ntikxyz/ai-threat-scanner": "ee95764dc5350950011aa2fc0e562b776fa3db73",
    "Ridwannurudeen/warden": "938234249c23f966d3b8da578204af7725c678ae",
    "TellinaTool/nl2bash": "466c5fe873ab08c7cc0112ea1521cc6ad9c20992",
    "Zijian-Ni/prompt-firewall": "0e9105f8b5e82337b5b43e6b836809332ec70a29",
    "anthropics/hh-rlhf": "354e5c3cb8960630860dd5774a6ac2a58313bf4d",
    "craigamcw/raucle-bench": "719aa52c31064cc9a9791abb45e33a6e98624bd0",
    "israelo19/promptguard": "6c23b303a48d3a6aef30604ce09dd90bcee5c228",
    "johncarmack1984/promptward": "d1b75cf699af5f21fb43a605f8d8fd0ddb7a327e",
    "leolee99/PIGuard": "1b5751e88bf7475acbedfc8eda795ce060307c84",
    "marklkelly/fastly-injection-detector": "177d7bcf7295dc3f7bf6c52efaee94e6fb7a312d",
    "meta-llama/PurpleLlama": "4be64c3a24442b51c76175e6ec67722cc3f5fe38",
    "mustvlad/ChatGPT-System-Prompts": "e19d82a2a77c5dc06ad17a92fcb28782ae61c753",
    "mwill20/ai-guardrails": "181051230a80ba1a6a7e9a48dac585104e436c43",
    "ogulcanaydogan/Prompt-Injection-Firewall": "d4a3041539ac6d1303ef05d98c59e596296aec1d",
    "openai/openai-guardrails-python": "741faf905be05558d2a9c2681118fd59b7e5b57c",
    "paul-rottger/exaggerated-safety": "d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d",
    "sinanw/llm-security-prompt-injection": "c8af0b015a9a4f3380f9e20214828c2dbeadc72c",
    "tahasiddiquii/llm-guardrails-redteam": "3e41c1a4797a6b994d68a857298f514b276b7f75",
    "teknium1/GPTeacher": "481075123c29854bddb82655badeef6a438f2436",
    "timfewi/igris-guardian": "86a7266e54725911ece959ee9641a864f57a02f7",
    "wancraig/llm-prompt-injection-stand": "30ffc2780d4786db9c88811fa40dfadb9f86f7f4",
    "yizhongw/self-instruct": "0b26ccaa415992100fa32df62d41b994cf928e23",
}
"""The repositories on GitHub that are read, and at which commit."""

CHOSEN = ("ogulcanaydogan/Prompt-Injection-Firewall", "johncarmack1984/promptward")
"""Whole repositories that choose the working point and train nothing: hands that the heads never saw."""

DEEPSET = "data/raw/{}-00000-of-00001-{}.parquet"
COMMANDS = 1200  # requests for a command of a shell that train or set the point
_ROLE_IS_ATTACK = re.compile(
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


def chosen(data: Path) -> list[Row]:
    """Return attacks and harmless texts of hands that train nothing, by which the working point is chosen."""
    first, second = (folder_of(data, name) for name in CHOSEN)
    rows = []
    for file, attack in (("injections", True), ("benign", False)):
        found = json.loads((first / f"benchmarks/dataset/{file}.json").read_text(encoding="utf-8"))["samples"]
        rows += [Row(str(one["text"]), attack, str(one["category"]), "prompt-injection-firewall") for one in found]
    for file, attack in (("injection", True), ("benign", False)):
        found = _lines(second / f"evals/datasets/{file}.jsonl")
        rows += [Row(str(one["text"]), attack, str(one["bucket"]), "promptward") for one in found]
    return _once(rows)


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
        lines = _lines(
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
    return _once(rows)


def _attacks(data: Path) -> Iterator[tuple[str, str]]:
    yield from (("deepset", text) for text, attack in _deepset(data, "train", "9564e8b05b4757ab") if attack)
    for name, path, field in (
        ("A73r0id/promptwall", "data/attacks.jsonl", "prompt"),
        ("timfewi/igris-guardian", "tests/corpus/injections.jsonl", "text"),
        ("Ridwannurudeen/warden", "corpus/attacks.jsonl", "payload"),
        ("tahasiddiquii/llm-guardrails-redteam", "data/attacks.jsonl", "prompt"),
        ("wancraig/llm-prompt-injection-stand", "data/attacks_vuln.jsonl", "document"),
        ("mwill20/ai-guardrails", "datasets/TrustAIRLab_jailbreak.jsonl", "prompt"),
        *(
            ("craigamcw/raucle-bench", f"datasets/{one}.jsonl", "prompt")
            for one in ("data_exfiltration", "direct_injection", "evasion", "indirect_injection", "jailbreak")
        ),
    ):
        wanted = {"ROLE_OVERRIDE", "PROMPT_INJECTION", "SECRET_EXFIL", "TOOL_HIJACK", "ENCODING_TRICK"}
        yield from (
            (name, str(one[field]))
            for one in _lines(folder_of(data, name) / path)
            if name != "Ridwannurudeen/warden" or one["category"] in wanted
        )
    name = "marklkelly/fastly-injection-detector"
    yield from (
        (name, str(one["text"]))
        for one in _lines(folder_of(data, name) / "ml/data/manual/edge_case_corpus_v1.jsonl")
        if one["label"] == 1
    )
    name = "Zijian-Ni/prompt-firewall"
    found = json.loads((folder_of(data, name) / "tests/fixtures/malicious_prompts.json").read_text(encoding="utf-8"))
    yield from ((name, str(one["text"])) for one in found)
    name = "openai/openai-guardrails-python"
    yield from ((name, str(one["data"])) for one in _demo(data) if one["expected_triggers"]["Jailbreak"])
    name = "Giskard-AI/prompt-injections"
    with (folder_of(data, name) / "prompt_injections.csv").open(encoding="utf-8", newline="") as file:
        yield from ((name, line["prompt"]) for line in csv.DictReader(file))
    name = "israelo19/promptguard"
    tree = ast.parse((folder_of(data, name) / "attacks/injection_attacks.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.List):
            yield from (
                (name, one.value) for one in node.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


def _harmless(data: Path) -> Iterator[tuple[str, str]]:
    yield from (("deepset", text) for text, attack in _deepset(data, "train", "9564e8b05b4757ab") if not attack)
    for name, path, field in (
        ("timfewi/igris-guardian", "tests/corpus/benign_hard.jsonl", "text"),
        ("timfewi/igris-guardian", "tests/corpus/benign.jsonl", "text"),
        ("Ridwannurudeen/warden", "corpus/benign.jsonl", "payload"),
        ("craigamcw/raucle-bench", "datasets/benign.jsonl", "prompt"),
        ("A73r0id/promptwall", "data/safe.jsonl", "prompt"),
        ("tahasiddiquii/llm-guardrails-redteam", "data/benign.jsonl", "prompt"),
        ("Qu4ntikxyz/ai-threat-scanner", "datasets/false_positives/curated.jsonl", "text"),
        ("yizhongw/self-instruct", "data/seed_tasks.jsonl", "instruction"),
        ("yizhongw/self-instruct", "human_eval/user_oriented_instructions.jsonl", "instruction"),
    ):
        yield from ((name, str(one[field])) for one in _lines(folder_of(data, name) / path))
    name = "mwill20/ai-guardrails"
    roles = (
        str(one["prompt"])
        for one in _lines(folder_of(data, name) / "datasets/TrustAIRLab_regular_2023_12_25_CLEANED.jsonl")
    )
    yield from ((name, text) for text in roles if not _ROLE_IS_ATTACK.search(text))
    name = "marklkelly/fastly-injection-detector"
    yield from (
        (name, str(one["text"]))
        for one in _lines(folder_of(data, name) / "ml/data/manual/edge_case_corpus_v1.jsonl")
        if one["label"] == 0
    )
    name = "Zijian-Ni/prompt-firewall"
    found = json.loads((folder_of(data, name) / "tests/fixtures/benign_prompts.json").read_text(encoding="utf-8"))
    yield from ((name, str(one["text"])) for one in found)
    yield from (
        ("openai/openai-guardrails-python", str(one["data"]))
        for one in _demo(data)
        if not one["expected_triggers"]["Jailbreak"]
    )
    name = "07/awesome-chatgpt-prompts"
    with (folder_of(data, name) / "prompts.csv").open(encoding="utf-8", newline="") as file:
        yield from ((name, line["prompt"]) for line in csv.DictReader(file))
    name = "mustvlad/ChatGPT-System-Prompts"
    yield from (
        (name, path.read_text(encoding="utf-8")) for path in sorted((folder_of(data, name) / "prompts").rglob("*.md"))
    )
    name = "TellinaTool/nl2bash"
    asked = (folder_of(data, name) / "data/bash/all.nl").read_text(encoding="utf-8").splitlines()
    yield from (
        (name, text) for text in sorted(set(asked), key=lambda one: hashlib.sha256(one.encode()).digest())[:COMMANDS]
    )


def _many(data: Path) -> Iterator[tuple[str, str]]:
    """Yield harmless requests of large collections, which train and set no point, so that they do not outnumber what looks like an attack."""
    name = "teknium1/GPTeacher"
    for path in ("Roleplay/roleplay-simple-deduped-roleplay-instruct.json", "Codegen/codegen-instruct.json"):
        found = json.loads((folder_of(data, name) / path).read_text(encoding="utf-8"))
        yield from ((name, f"{one['instruction']} {one['input']}".strip()) for one in found)
    name = "anthropics/hh-rlhf"
    for line in gzip.decompress((folder_of(data, name) / "harmless-base/test.jsonl.gz").read_bytes()).splitlines():
        asked = str(json.loads(line)["chosen"]).split("\n\nAssistant:", 1)[0]
        yield name, asked.removeprefix("\n\nHuman:").strip()


def _demo(data: Path) -> list[dict[str, dict[str, bool]]]:
    return _lines(folder_of(data, "openai/openai-guardrails-python") / "src/guardrails/evals/eval_demo/demo_data.jsonl")  # type: ignore[return-value]


def _deepset(data: Path, split: str, name: str) -> list[tuple[str, bool]]:
    path = folder_of(data, "sinanw/llm-security-prompt-injection") / DEEPSET.format(split, name)
    return [(str(text), label == 1) for text, label in duckdb.read_parquet(str(path)).project("text, label").fetchall()]


def _once(rows: Iterable[Row]) -> list[Row]:
    return list({(row.text.strip(), row.set, row.attack): row for row in rows if row.text.strip()}.values())


def _lines(path: Path) -> list[dict[str, object]]:
    csv.field_size_limit(sys.maxsize)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
