"""Prints precision and recall of the structured personal data and secrets on a generated set.

    python tests/quality/guardrail/pii.py [--texts 4000] [--seed 11]

The values come from others' generators, not from the detectors' patterns: Faker (nine locales) makes addresses, cards, IBANs,
telephone and social security numbers, and python-stdnum's validators choose the numbers with check digits. Half of the texts hold
look-alikes instead: wrong check digits, dates, prices, versions, hashes, order numbers. A value counts as found if one finding of its
kind covers it; a finding that covers no value of its kind is a false one.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from faker import Faker
from stdnum import iban, luhn
from stdnum.at import vnr
from stdnum.be import nn
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs, utr
from stdnum.ie import pps
from stdnum.in_ import aadhaar, epic, gstin, pan
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.pt import nif
from stdnum.se import personnummer
from stdnum.us import ein, itin, rtn

from sluice_guardrail.domain.detectors import DETECTORS, find_personal_data
from sluice_guardrail.domain.folding import fold

LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "en_IN")
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "IN")
BASE62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Value(NamedTuple):
    kind: str
    text: str
    lead: str = ""


class Sample(NamedTuple):
    text: str
    values: tuple[tuple[str, int, int], ...]


class Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._fakes = {locale: Faker(locale) for locale in LOCALES}
        for number, fake in enumerate(self._fakes.values()):
            fake.seed_instance(seed * 100 + number)
        self._makers: tuple[Callable[[], Value], ...] = (
            self._email,
            self._card,
            self._iban,
            lambda: Value("us_ssn", self._fakes["en_US"].ssn()),
            lambda: Value("uk_nhs", self._spaced(self._valid(nhs.is_valid, 10), (3, 3, 4)), "NHS number "),
            self._nino,
            lambda: Value("in_aadhaar", self._maybe(aadhaar.format, self._valid(aadhaar.is_valid, 12)), "Aadhaar "),
            self._pan,
            lambda: Value("ip_address", self._any().ipv4_public()),
            lambda: Value("ip_address", self._any().ipv6()),
            lambda: Value("mac_address", self._any().mac_address()),
            self._phone,
            self._secret,
            self._national,
            self._national,
        )

    def sample(self) -> Sample:
        parts: list[str] = []
        values: list[tuple[str, int, int]] = []
        length = 0
        for _ in range(self.random.randint(1, 4)):
            sentence = self._any().sentence(nb_words=8).rstrip(".")
            value = self.random.choice(self._makers)() if self.random.random() < 0.5 else self._lookalike()
            before = f"{sentence} {value.lead}"
            if value.kind:
                values.append((value.kind, length + len(before), length + len(before) + len(value.text)))
            piece = f"{before}{value.text}{self.random.choice((', ', '. ', chr(10), ' '))}"
            parts.append(piece)
            length += len(piece)
        return Sample("".join(parts), tuple(values))

    def _any(self) -> Faker:
        return self._fakes[self.random.choice(LOCALES)]

    def _digits(self, count: int) -> str:
        return "".join(self.random.choices("0123456789", k=count))

    def _valid(self, valid: Callable[[str], bool], count: int) -> str:
        while not valid(made := self._digits(count)):
            pass
        return made

    def _maybe(self, change: Callable[[str], str], text: str) -> str:
        return change(text) if self.random.random() < 0.5 else text

    def _spaced(self, text: str, groups: Sequence[int]) -> str:
        if self.random.random() < 0.5:
            return text
        out, at = [], 0
        for size in groups:
            out.append(text[at : at + size])
            at += size
        return " ".join(out)

    def _email(self) -> Value:
        fake = self._any()
        return Value("email", self.random.choice((fake.email, fake.company_email, fake.ascii_free_email))())

    def _card(self) -> Value:
        number = self._any().credit_card_number(self.random.choice(("visa16", "mastercard", "amex", "discover")))
        return Value("credit_card", self._spaced(number, (4, 6, 5) if len(number) == 15 else (4, 4, 4, 4)))

    def _iban(self) -> Value:
        fake = self._fakes[self.random.choice(("en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL"))]
        number = fake.iban()
        assert iban.is_valid(number, check_country=False)
        return Value("iban", self._maybe(iban.format, number))

    def _nino(self) -> Value:
        letters = self.random.choice(("AB", "CE", "JG", "PW", "SK", "TZ", "WM", "YZ"))
        number = letters + self._digits(6) + self.random.choice("ABCD")
        return Value("uk_nino", self._spaced(number, (2, 2, 2, 2, 1)))

    def _pan(self) -> Value:
        letters = "".join(self.random.choices(BASE62[:26], k=5))
        made = (
            letters[:3]
            + self.random.choice("ABCFGHJLPT")
            + letters[4]
            + self._digits(4)
            + self.random.choice(BASE62[:26])
        )
        return Value("in_pan", made) if pan.is_valid(made) else self._pan()

    def _national(self) -> Value:
        """Return a number of a state, which python-stdnum calls valid, with or without its signs."""
        some, pick, date = self._digits, self.random.choice, self._birthday
        letters = BASE62[:26]
        makers: tuple[tuple[str, Callable[[], str], Callable[[str], bool], str], ...] = (
            ("us_itin", lambda: "9" + some(2) + "-" + some(2) + "-" + some(4), itin.is_valid, "ITIN "),
            ("us_ein", lambda: some(2) + "-" + some(7), ein.is_valid, "EIN "),
            ("us_bank_routing", lambda: pick(("01", "06", "12", "21", "31", "61")) + some(7), rtn.is_valid, "routing number "),
            ("uk_utr", lambda: some(10), utr.is_valid, "UTR "),
            ("in_gstin", lambda: pick(("27", "07", "29")) + self._pan().text + "1Z" + pick(BASE62[:26] + "0123456789"), gstin.is_valid, "GSTIN "),
            ("in_voter_id", lambda: "".join(self.random.choices(letters, k=3)) + some(7), epic.is_valid, "voter id "),
            ("de_tax_id", lambda: some(11), idnr.is_valid, pick(("Steuer-ID ", "Identifikationsnummer: "))),
            ("fr_nir", lambda: pick("12") + date()[:4] + pick(("75", "13", "2A", "33")) + some(8), nir.is_valid, ""),
            ("es_nif", lambda: some(8) + pick(letters), dni.is_valid, pick(("", "DNI "))),
            ("es_nif", lambda: pick("XYZ") + some(7) + pick(letters), nie.is_valid, pick(("", "NIE "))),
            ("it_fiscal_code", lambda: "".join(self.random.choices(letters, k=6)) + some(2) + pick("ABCDEHLMPRST") + date()[4:] + pick(letters[:12]) + some(3) + pick(letters), codicefiscale.is_valid, ""),
            ("nl_bsn", lambda: some(9), bsn.is_valid, "BSN "),
            ("pl_pesel", lambda: date() + some(5), pesel.is_valid, "PESEL "),
            ("be_national_number", lambda: date() + some(5), nn.is_valid, pick(("", "NN "))),
            ("se_personal_number", lambda: date() + "-" + some(4), personnummer.is_valid, ""),
            ("fi_hetu", lambda: date()[4:] + date()[2:4] + date()[:2] + "-" + some(3) + pick("0123456789ABCDEFHJKLMNPRSTUVWXY"), hetu.is_valid, ""),
            ("pt_nif", lambda: pick("125") + some(8), nif.is_valid, "NIF "),
            ("ie_pps", lambda: some(7) + pick(letters[:23]), pps.is_valid, "PPS number "),
            ("at_social_security", lambda: some(10), vnr.is_valid, "SVNR "),
        )  # fmt: skip
        kind, make, valid, lead = pick(makers)
        while not valid(made := make()):
            pass
        return Value(kind, made, lead)

    def _birthday(self) -> str:
        return f"{self.random.randint(30, 99):02}{self.random.randint(1, 12):02}{self.random.randint(1, 28):02}"

    def _phone(self) -> Value:
        fake = self._fakes[self.random.choice(("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL"))]
        number = fake.phone_number()
        lead = "" if number.startswith("+") else self.random.choice(("phone ", "call ", "tel. "))
        return Value("phone", number, lead)

    def _secret(self) -> Value:
        def some(alphabet: str, count: int) -> str:
            return "".join(self.random.choices(alphabet, k=count))

        makers: tuple[Callable[[], str], ...] = (
            lambda: "AKIA" + some(BASE62[:26] + "234567", 16),
            lambda: "ghp_" + some(BASE62, 36),
            lambda: "glpat-" + some(BASE62, 20),
            lambda: "sk-proj-" + some(BASE62, 40) + "7",
            lambda: "xoxb-" + self._digits(12) + "-" + some(BASE62, 24),
            lambda: "AIza" + some(BASE62 + "_-", 35),
            lambda: "hf_" + some(BASE62, 34),
            lambda: "npm_" + some(BASE62, 36),
        )
        return Value("secret", self.random.choice(makers)())

    def _lookalike(self) -> Value:
        fake = self._any()
        makers: tuple[Callable[[], str], ...] = (
            lambda: self._broken(self._card().text, luhn.is_valid),
            lambda: self._broken(self._iban().text, lambda text: iban.is_valid(text, check_country=False)),
            lambda: "Aadhaar " + self._broken(self._valid(aadhaar.is_valid, 12), aadhaar.is_valid),
            lambda: str(fake.date()),
            lambda: fake.date_time().strftime("%d.%m.%Y %H:%M:%S"),
            lambda: f"v{self._digits(1)}.{self._digits(2)}.{self._digits(1)}",
            lambda: f"version 1.{self._digits(1)}.{self._digits(1)}.{self._digits(2)}",
            lambda: str(fake.sha256()),
            lambda: str(fake.md5()),
            lambda: str(fake.uuid4()),
            lambda: str(fake.isbn13()),
            lambda: f"order {self._digits(8)}",
            lambda: f"{self._digits(3)},{self._digits(3)}.{self._digits(2)} EUR",
            lambda: f"{self._digits(2)}:{self._digits(2)}:{self._digits(2)}",
            lambda: f"@{fake.user_name()}",
            lambda: f"000-{self._digits(2)}-{self._digits(4)}",
            lambda: f"ticket #{self._digits(10)}",
            lambda: f"AB-{self._digits(6)}-X",
            lambda: f"invoice {self._digits(9)}",
            lambda: f"article {self._digits(11)}",
            lambda: f"{self._digits(7)}{self.random.choice('ABCDEFGH')}",
            lambda: f"{self._digits(6)}-{self._digits(4)}",
            lambda: "".join(self.random.choices(BASE62[:26], k=3)) + self._digits(7),
        )
        return Value("", self.random.choice(makers)())

    def _broken(self, text: str, valid: Callable[[str], bool]) -> str:
        at = max(index for index, char in enumerate(text) if char.isdigit())
        changed = text
        while valid(changed.replace(" ", "")):
            changed = text[:at] + self.random.choice("0123456789") + text[at + 1 :]
        return changed


def score(texts: int, seed: int) -> dict[str, Counter[str]]:
    """Return found, missed and false findings of each kind."""
    generator = Generator(seed)
    counted: dict[str, Counter[str]] = {kind: Counter(found=0, missed=0, false=0) for kind in DETECTORS}
    for _ in range(texts):
        sample = generator.sample()
        findings = find_personal_data(fold(sample.text).text, frozenset(DETECTORS), REGIONS, lambda: None)
        used = set()
        for kind, start, end in sample.values:
            hit = next(
                (f for f in findings if f.detector == kind and f.start <= start and f.end >= end and f not in used),
                None,
            )
            counted[kind]["found" if hit else "missed"] += 1
            if hit:
                used.add(hit)
        for finding in findings:
            if finding not in used:
                counted[finding.detector]["false"] += 1
    return counted


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def totals(counted: dict[str, Counter[str]]) -> Counter[str]:
    return sum(counted.values(), Counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    counted = score(options.texts, options.seed)
    for name, found in (*counted.items(), ("all", totals(counted))):
        hits = found["found"]
        print(
            f"{name:20} values {hits + found['missed']:6}  precision {ratio(hits, hits + found['false']):.3f}"
            f"  recall {ratio(hits, hits + found['missed']):.3f}"
        )


if __name__ == "__main__":
    main()
