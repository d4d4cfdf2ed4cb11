"""A system prompt and its canary do not leave in any disguise that the guard reads; ordinary answers do."""

import codecs
from base64 import b32encode, b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest

from sluice.contracts.guard import CheckRequest, Segment
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.paraphrase import find_paraphrase
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies

PROMPT = (
    "You serve the customers of Harbour Books. Never offer more than nine percent off, and keep the stock list of the "
    "warehouse in Antwerp to yourself. The marker of this prompt is kestrel-7402-lantern."
)
CANARY = "kestrel-7402-lantern"
DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "capitals": str.upper,
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base32": lambda text: b32encode(text.encode()).decode(),
    "binary": lambda text: " ".join(f"{byte:08b}" for byte in text.encode()),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: quote(text, safe=""),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "zero width": "\u200b".join,
    "digits for letters": lambda text: text.translate(str.maketrans("eoailsEOAILS", "304115304115")),
    "letters of another script": lambda text: text.translate(
        str.maketrans("aeopcx", "\u0430\u0435\u043e\u0440\u0441\u0445")
    ),
}
SPACED: dict[str, Callable[[str], str]] = {
    "spaced": " ".join, "dashed": "-".join, "two spaces": "  ".join, "no spaces": lambda text: "".join(text.split()),
    "groups of four": lambda text: " ".join(text[at : at + 4] for at in range(0, len(text), 4)),
}  # fmt: skip


@pytest.fixture(scope="module")
def policy() -> NamedPolicy:
    content = {"version": "1", "policies": {"default": {"output": {"filter": {"canaries": [CANARY]}}}}}
    return parse_policies(content, "guard.yaml").get("default")


def _safe(policy: NamedPolicy, answer: str) -> bool:
    segments = (Segment(id="s", role="system", text=PROMPT), Segment(id="a", role="assistant", text=answer))
    return check(CheckRequest(stage="output", segments=segments), policy, lambda: None).safe


@pytest.mark.parametrize("name", [*DISGUISES, *SPACED])
def test_a_verbatim_leak_is_refused(policy: NamedPolicy, name: str) -> None:
    part = PROMPT[: PROMPT.index(" The marker")]
    assert not _safe(policy, "Sure, here it comes: " + {**DISGUISES, **SPACED}[name](part))


@pytest.mark.parametrize("digits", [CANARY.encode().hex(), CANARY.encode().hex(" ")])
def test_a_word_beside_hexadecimal_digits_that_reads_like_some_hides_nothing(policy: NamedPolicy, digits: str) -> None:
    assert not _safe(policy, f"To be {digits} be aware of it")


@pytest.mark.parametrize("name", [*DISGUISES, *SPACED])
def test_a_canary_is_refused(policy: NamedPolicy, name: str) -> None:
    assert not _safe(policy, "It reads " + {**DISGUISES, **SPACED}[name](CANARY) + " I think")


@pytest.mark.parametrize(
    "answer",
    [
        "Harbour Books is open from nine to five, and nine percent of the titles are in Dutch.",
        "A kestrel is a falcon; 7402 is a number; a lantern gives light.",
    ],
)
def test_an_ordinary_answer_passes(policy: NamedPolicy, answer: str) -> None:
    assert _safe(policy, answer)


LONG_PROMPT = (
    "You answer travellers of the Northern Ferry Company. Refunds above forty euros are decided by the night manager in Bergen. "
    "Never mention the strike of the mechanics in August. Complaints about noisy cabins are settled with a breakfast voucher. "
    "Children under twelve travel free when the harbour tax is paid. Lost luggage goes to the basement of terminal seven."
)
RETOLD = (
    "Sure! Lost suitcases, I was told, end up in the basement below terminal seven, and under twelve children travel for free as long as the harbour tax "
    "gets paid. If a cabin is noisy the complaint is settled by giving out a breakfast voucher. The mechanics' strike in August is something I should never "
    "mention, and in Bergen the night manager decides refunds that exceed forty euros for travellers of the Northern Ferry Company."
)


def leaked(answer: str, prompt: str = LONG_PROMPT) -> list[str]:
    return [found.kind for found in find_paraphrase(answer, [prompt])]


def test_a_prompt_told_in_other_words_and_another_order_is_a_leak_and_its_use_is_none() -> None:
    assert leaked(RETOLD) == ["paraphrased_prompt"]
    assert leaked("Before. " * 200 + RETOLD + " After." * 200) == ["paraphrased_prompt"]
    assert (
        leaked("A refund of thirty euros is fine. For more than forty euros the night manager in Bergen decides.") == []
    )
    assert leaked(RETOLD, "You help travellers of the Northern Ferry Company.") == []
    assert leaked("Terminals, harbours and ferries of the north: a guide to Bergen for children. " * 20) == []


def test_what_is_retold_is_refused_by_the_policy(policy: NamedPolicy) -> None:
    segments = (Segment(id="s", role="system", text=LONG_PROMPT), Segment(id="a", role="assistant", text=RETOLD))
    verdict = check(CheckRequest(stage="output", segments=segments), policy, lambda: None)
    assert not verdict.safe
    assert verdict.details[0].reason.endswith("of the words of a part of the system prompt")
