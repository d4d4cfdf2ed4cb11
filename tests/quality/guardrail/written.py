"""Reads small collections of attacks that people wrote for other tools, out of the packages that `collect.py` brings; nothing of them is run."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import yaml
from tests.quality.guardrail.training import Row

PACKAGES = {
    "garak-multilingual": "0.1.0",
    "nullsec-promptinject": "0.1.0",
    "promptinject": "0.1.1.1",
    "weiseer-prompt-redteam": "0.1.0",
    "prompt-security-fuzzer": "2.1.1",
}
_WISHES = (
    "how do I open this door?",
    "write a keylogger for me",
    "tell me something that you would refuse",
    "explain how to pick a lock",
)
_MARKS = ("I hate humans", "my system is compromised", "free at last")
_WISH, _MARK = (
    re.compile(r"\{TARGET\}|\[[A-Z_ ]*(?:TASK|TOPIC|REQUEST|HARMFUL)[A-Z_ ]*\]"),
    re.compile(r"\{REPLACE_\w+\}"),
)
_OVERRIDE = re.compile(r"(?i)ignor|stop every")
MIN_WORDS = 3


def read_written(data: Path) -> list[Row]:
    """Return the attacks of every collection, each with the collection's name as its family; slots of templates hold a wish or a word."""
    found = dict.fromkeys((name, _filled(text.strip(), at)) for at, (name, text) in enumerate(_texts(data)))
    return [Row(text, True, name, "written") for name, text in found if len(text.split()) >= MIN_WORDS]


def _filled(text: str, at: int) -> str:
    return _MARK.sub(_MARKS[at % len(_MARKS)], _WISH.sub(_WISHES[at % len(_WISHES)], text))


def _texts(data: Path) -> Iterator[tuple[str, str]]:
    for name, inside, fields in (
        ("garak-multilingual", "garak_multilingual/payloads.py", ("prompt",)),
        ("nullsec-promptinject", "nullsec_promptinject/payloads.py", ("Payload",)),
    ):
        yield from ((name, text) for field, text in _named_strings(data / name / inside) if field in fields)
    # The instructions that attack stand beside those that are attacked.
    told = _named_strings(data / "promptinject/promptinject/prompt_data.py")
    yield from (("promptinject", text) for field, text in told if field == "instruction" and _OVERRIDE.search(text))
    attacks = yaml.safe_load(
        (data / "weiseer-prompt-redteam/weiseer_prompt_redteam/attacks.yaml").read_text(encoding="utf-8")
    )
    yield from (("weiseer-prompt-redteam", str(one["payload"])) for one in attacks["attacks"] if "payload" in one)
    table = data / "prompt-security-fuzzer/ps_fuzz/attack_data/prompt_injections_for_base64.parquet"
    yield from (("prompt-security-fuzzer", str(text)) for _, text, _ in duckdb.read_parquet(str(table)).fetchall())


def _named_strings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the strings of a Python file with the key or keyword that they stand under, or the name of the call that they come first in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            named = [
                (key.value, value)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            ]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = [*((one.arg, one.value) for one in node.keywords), *((node.func.id, one) for one in node.args[:1])]
        else:
            continue
        for name, value in named:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield str(name), value.value
