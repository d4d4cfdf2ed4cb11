"""Proves that masking leads back: generated texts are masked by the shipped policy's detectors and restored, whole and in pieces.

    python tests/quality/guardrail/masking.py [--texts 10000] [--seed 1]

A text is prose, JSON, JSON within JSON, fenced JSON or prose that already holds placeholders, with values of every kind in it. Counted are
texts that are not restored exactly, restored differently in pieces, or that still show a value when masked; and JSON documents
that an imagined model wrote around the placeholders and that do not say the values once they are restored.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml
from faker import Faker
from stdnum.gb import nhs
from stdnum.in_ import aadhaar

from sluice.contracts.guard import InputVerdict, RedactRequest
from sluice.masking import Restorer, Vault
from sluice_guardrail.domain.policy import parse_policies
from sluice_guardrail.domain.redacting import masked

POLICY_FILE = Path(__file__).resolve().parents[3] / "deploy" / "config" / "guard.yaml"
WORDS = [
    "please",
    "send",
    "the",
    "report",
    "to",
    "our",
    "office",
    "and",
    "tell",
    "them",
    "that",
    "it",
    "is",
    "about",
    "“last",
    "year”",
    "—",
    "naïve",
    "東京",
    "🙂",
    "a\\b",
    "1<2",
    "x>y",
    "&amp;",
    '"so"',
]
LURES = ("<EMAIL_1>", "<PHONE_2>", "<email_1>", "<", "\\u003cEMAIL_3\\u003e", "EMAIL_1", "<EMAIL", "<A_1><", "\\")


class Values:
    """Makes values of the kinds that the guardrail masks."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._us, self._uk, self._de = Faker("en_US"), Faker("en_GB"), Faker("de_DE")
        for number, fake in enumerate((self._us, self._uk, self._de)):
            fake.seed_instance(seed + number)
        self._makers: tuple[Callable[[], str], ...] = (
            self._us.email,
            self._de.company_email,
            lambda: self._us.credit_card_number("visa"),
            self._uk.iban,
            self._us.ssn,
            self._us.ipv4_public,
            self._us.mac_address,
            lambda: "NHS number " + self._nhs(),
            self._aadhaar,
            lambda: "AKIA" + "".join(self.random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)),
            lambda: f'postgres://app:p"w\\{self.random.randint(100, 999)}@db.example/x',
            self._pem,
        )

    def one(self) -> str:
        return self.random.choice(self._makers)()

    def _nhs(self) -> str:
        return self._until(nhs.is_valid, lambda: f"{self.random.randint(4_000_000_000, 4_999_999_999)}")

    def _aadhaar(self) -> str:
        found = self._until(aadhaar.is_valid, lambda: f"{self.random.randint(200_000_000_000, 999_999_999_999)}")
        return aadhaar.format(found)

    @staticmethod
    def _until(valid: Callable[[str], bool], make: Callable[[], str]) -> str:
        while not valid(made := make()):
            pass
        return made

    def _pem(self) -> str:
        body = "\n".join("".join(self.random.choices("ABCDEFabcdef0123456789+/", k=40)) for _ in range(2))
        return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"


def prose(values: Values) -> str:
    pick = values.random
    parts: list[str] = []
    for _ in range(pick.randint(3, 25)):
        chance = pick.random()
        parts.append(values.one() if chance < 0.2 else pick.choice(LURES) if chance < 0.25 else pick.choice(WORDS))
        parts.append(pick.choice((" ", " ", " ", "\n", ", ")))
    return "".join(parts)


def document(values: Values) -> str:
    content: dict[str, object] = {"to": values.one(), "note": prose(values), "list": [values.one(), 7, None]}
    if values.random.random() < 0.4:
        content["inner"] = json.dumps({"value": values.one(), "text": prose(values)}, ensure_ascii=False)
    return json.dumps(content, ensure_ascii=values.random.random() < 0.5, indent=values.random.choice((None, 2)))


def text_of(values: Values) -> str:
    chance = values.random.random()
    if chance < 0.5:
        return prose(values)
    if chance < 0.8:
        return document(values)
    return f"Here it is:\n```json\n{document(values)}\n```\n{prose(values)}"


def in_pieces(vault: Vault, text: str, cuts: random.Random) -> str:
    restorer = Restorer(vault)
    out = []
    at = 0
    while at < len(text):
        end = at + (1 if cuts.random() < 0.3 else cuts.randint(1, 30))
        out.append(restorer.feed(text[at:end]))
        at = end
    return "".join((*out, restorer.finish()))


def written_by_a_model(verdict: InputVerdict, cuts: random.Random) -> bool:
    """Say whether JSON around the placeholders says the values, plainly and one document deeper."""
    vault = Vault(verdict.vault)
    names = [entry.placeholder for entry in verdict.vault]
    wanted = {entry.placeholder: entry.value for entry in verdict.vault}
    if any(entry.verbatim for entry in verdict.vault):
        return True  # kept as they were written, which no document need say
    written = json.dumps({"args": names, "body": json.dumps({"values": names})})
    said = json.loads(in_pieces(vault, written, cuts))
    values = [wanted[name] for name in names]
    return bool(said["args"] == values and json.loads(said["body"])["values"] == values)


def run(texts: int, seed: int) -> Counter[str]:
    """Return how many texts there were, how many placeholders, and what went wrong."""
    policy = parse_policies(yaml.safe_load(POLICY_FILE.read_text()), "guard.yaml").get("default")
    values, cuts = Values(seed), random.Random(seed + 7)
    counted: Counter[str] = Counter(not_exact=0, other_in_pieces=0, still_shown=0, wrong_json=0)
    for _ in range(texts):
        text = text_of(values)
        verdict = masked(RedactRequest(text=text), policy, lambda: None)
        shown = verdict.filtered_input or ""
        vault = Vault(verdict.vault)
        counted["texts"] += 1
        counted["placeholders"] += len(verdict.vault)
        counted["not_exact"] += vault.restore(shown) != text
        counted["other_in_pieces"] += in_pieces(vault, shown, cuts) != text
        counted["still_shown"] += any(len(entry.value) > 6 and entry.value in shown for entry in verdict.vault)
        counted["wrong_json"] += not written_by_a_model(verdict, cuts)
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name, count in run(options.texts, options.seed).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    main()
