"""Says whether a training file keeps to a guard policy and to licences (handbook F204): counts and line numbers, never what stands there."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sluice.contracts.finetune import CheckCompliance, ComplianceFinding, ComplianceReport, DatasetFormat
from sluice.contracts.guard import MAX_BATCH, MAX_SEGMENTS, MAX_TEXT, CheckRequest, InputVerdict, OutputVerdict, Segment
from sluice_finetune.domain.examples import Example, LineUnusable, read_example
from sluice_finetune.domain.validation import LineTooLong

MAX_FINDINGS = 200
_BATCH_CHARACTERS = 200_000
_NO_LICENSE = "none"


class Drawn(NamedTuple):
    """An example that is checked, with its line in the file (from 1)."""

    line: int
    example: Example


class Read(NamedTuple):
    """A file that was read through: its counts, its lines by licence, the first lines with a licence that is not allowed, and what is to be checked."""

    lines: int
    examples: int
    unreadable: int
    licenses: Counter[str]
    not_allowed: int
    refused: dict[int, str]
    drawn: tuple[Drawn, ...]


def read(lines: Iterable[bytes | LineTooLong], wanted: CheckCompliance) -> Read:
    """Read a file through and draw the examples that are checked, each with the same chance (Vitter's algorithm R, 1985)."""
    rng = random.Random(0)  # noqa: S311 - draws examples, the same ones of the same file each time
    allowed = {name.casefold() for name in wanted.licenses}
    licenses: Counter[str] = Counter()
    refused: dict[int, str] = {}
    drawn: list[Drawn] = []
    number = examples = unreadable = not_allowed = 0
    found: DatasetFormat | None = None
    for number, line in enumerate(lines, 1):
        if not isinstance(line, LineTooLong) and not line.strip():
            continue
        example = None if isinstance(line, LineTooLong) else _example(line, found)
        if example is None or isinstance(line, LineTooLong):
            unreadable += 1
            continue
        found = example.format
        examples += 1
        license_ = _license(line)
        licenses[license_] += 1
        if allowed and license_.casefold() not in allowed:
            not_allowed += 1
            if len(refused) < MAX_FINDINGS:
                refused[number] = license_
        if len(drawn) < wanted.max_examples:
            drawn.append(Drawn(number, example))
        elif (at := rng.randrange(examples)) < wanted.max_examples:
            drawn[at] = Drawn(number, example)
    drawn.sort(key=lambda one: one.line)
    return Read(number, examples, unreadable, licenses, not_allowed, refused, tuple(drawn))


def questions(drawn: Sequence[Drawn], policy: str) -> Iterator[tuple[CheckRequest, ...]]:
    """Yield batches of questions to the guardrail, one for each example in order; every text is judged as a user's."""
    batch: list[CheckRequest] = []
    size = 0
    for one in drawn:
        texts = [turn.text[:MAX_TEXT] for turn in one.example.turns]
        if len(texts) > MAX_SEGMENTS:
            texts = [*texts[: MAX_SEGMENTS - 1], "\n".join(texts[MAX_SEGMENTS - 1 :])[:MAX_TEXT]]
        characters = sum(map(len, texts))
        if batch and (len(batch) == MAX_BATCH or size + characters > _BATCH_CHARACTERS):
            yield tuple(batch)
            batch, size = [], 0
        segments = tuple(Segment(id=str(at), text=text) for at, text in enumerate(texts))
        batch.append(CheckRequest(stage="input", segments=segments, policy=policy))
        size += characters
    if batch:
        yield tuple(batch)


def report(
    file_id: str, wanted: CheckCompliance, file: Read, verdicts: Sequence[InputVerdict | OutputVerdict]
) -> ComplianceReport:
    """Return the report; `verdicts` are those on the drawn examples, in order."""
    issues: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    found: dict[int, ComplianceFinding] = {
        line: ComplianceFinding(line=line, license=name, license_allowed=False) for line, name in file.refused.items()
    }
    for one, verdict in zip(file.drawn, verdicts, strict=True):
        mine = Counter(detail.kind for detail in verdict.details)
        issues.update(verdict.issues)
        kinds.update(mine)
        if verdict.issues and (one.line in found or len(found) < MAX_FINDINGS):
            known = found.get(one.line, ComplianceFinding(line=one.line))
            found[one.line] = known.model_copy(update={"issues": verdict.issues, "kinds": dict(sorted(mine.items()))})
    return ComplianceReport(
        file_id=file_id,
        policy=wanted.policy,
        compliant=wanted.forbid.isdisjoint(issues) and not file.not_allowed and not file.unreadable,
        lines=file.lines,
        examples=file.examples,
        checked=len(file.drawn),
        unreadable=file.unreadable,
        issues=dict(sorted(issues.items())),
        kinds=dict(sorted(kinds.items())),
        licenses=dict(file.licenses.most_common(100)),
        not_allowed=file.not_allowed,
        findings=tuple(found[line] for line in sorted(found)),
    )


def _example(line: bytes, expected: DatasetFormat | None) -> Example | None:
    try:
        return read_example(line, expected)
    except LineUnusable:
        return None


def _license(line: bytes) -> str:
    row = json.loads(line.decode("utf-8-sig"))
    about = row.get("metadata")
    places = (row, about if isinstance(about, dict) else {})
    given = next((place[name] for place in places for name in ("license", "licence") if name in place), None)
    return given.strip()[:100] if isinstance(given, str) and given.strip() else _NO_LICENSE
