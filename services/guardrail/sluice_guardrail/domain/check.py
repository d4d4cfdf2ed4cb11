"""Checks a request or an answer against a policy and says what may go on (result shapes F268 and F272)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from sluice.contracts.guard import (
    CheckRequest,
    Groundedness,
    InputVerdict,
    IssueAction,
    OutputVerdict,
    Segment,
    SentenceSupport,
    VaultEntry,
)
from sluice.marking import marked
from sluice_guardrail.domain.causes import with_confidence
from sluice_guardrail.domain.conversation import Together, find_over_turns, read_together
from sluice_guardrail.domain.detectors import DETECTORS, Checkpoint, PiiKind, find_personal_data
from sluice_guardrail.domain.errors import AmbiguousText
from sluice_guardrail.domain.findings import Finding, merge_overlaps
from sluice_guardrail.domain.folding import Folded, fold, unescaped
from sluice_guardrail.domain.injection import ORDERS, Heads, find_hidden, score_injection
from sluice_guardrail.domain.issues import SYSTEM_ROLES, UNANSWERED_ROLES
from sluice_guardrail.domain.leaks import find_leaks
from sluice_guardrail.domain.masking import Masks
from sluice_guardrail.domain.names import PERSON, find_people
from sluice_guardrail.domain.ngrams import grams
from sluice_guardrail.domain.output_filter import UNSAFE_KINDS, find_output_marks
from sluice_guardrail.domain.pieces import Decided, Piece, details_of, issues_of, scores_of
from sluice_guardrail.domain.planted import PLANTED
from sluice_guardrail.domain.policy import (
    DEFINITION_ROLE,
    FOREIGN_ROLES,
    TOOL_ROLES,
    FilterRules,
    InjectionAction,
    InjectionRules,
    NamedPolicy,
    OutputRules,
    PiiRules,
    Policy,
)
from sluice_guardrail.domain.redaction import Labels, redact
from sluice_guardrail.domain.remembering import key_of
from sluice_guardrail.domain.review import with_review
from sluice_guardrail.domain.scanners.rules import OnError
from sluice_guardrail.domain.scanning import (
    ALONE,
    Asked,
    Beside,
    Scan,
    Scanned,
    Tools,
    as_written,
    ask_models,
    scan,
    take_turn,
)
from sluice_guardrail.domain.tool_risk import with_tool_calls

NO_TOOLS = Tools()
_NO_TEXT = Segment(id="", text="")


def check(
    request: CheckRequest,
    policy: NamedPolicy,
    checkpoint: Checkpoint,
    heads: Heads | None = None,
    tools: Tools = NO_TOOLS,
) -> InputVerdict | OutputVerdict:
    """Return the verdict on a request; without trained `heads` phrases alone tell an injection.

    Raises:
        AmbiguousText: not exactly one of `text` and `segments` is given.
    """
    if (request.text is None) == (request.segments is None):
        raise AmbiguousText("Give exactly one of `text` and `segments`.")
    single = request.text is not None
    role = "user" if request.stage == "input" else "assistant"
    segments = (Segment(id="", role=role, text=request.text or ""),) if single else request.segments or ()
    if request.stage == "input":
        asked = [
            ask_models(segment.text, policy.rules.rules_for(segment.role).scanners, tools, segment.role, ALONE)
            for segment in segments
        ]
        pieces = [
            _input_piece(segment, policy, checkpoint, heads, tools, about)
            for segment, about in zip(segments, asked, strict=True)
        ]
        pieces = _read_together(pieces, policy.rules, heads, tools, turns=request.turns is not False)
        return _input_verdict(pieces, policy, request.vault, single=single)
    rules, enforced = policy.rules.output, policy.rules.mode == "enforce"
    verdict = _check_output(segments, policy, checkpoint, tools, request, single=single)
    verdict = with_tool_calls(verdict, request.tool_calls, rules.tools, enforced=enforced)
    return with_review(verdict, rules.review, enforced=enforced)


def _input_piece(
    segment: Segment,
    policy: NamedPolicy,
    checkpoint: Checkpoint,
    heads: Heads | None,
    tools: Tools,
    asked: Sequence[Asked],
) -> Piece:
    checkpoint()
    find = partial(_looked_at, segment, policy.rules, checkpoint, heads, tools, asked)
    if segment.role != DEFINITION_ROLE or tools.remembered is None or asked:
        return find()
    key = key_of(tools.tenant, policy.hash, segment.text)
    return replace(tools.remembered.once(key, lambda: replace(find(), segment=_NO_TEXT), _is_sure), segment=segment)


def _is_sure(piece: Piece) -> bool:
    return not any(item.finding.category == "failure" for item in piece.decided)


def _looked_at(
    segment: Segment,
    policy: Policy,
    checkpoint: Checkpoint,
    heads: Heads | None,
    tools: Tools,
    asked: Sequence[Asked],
) -> Piece:
    rules = policy.rules_for(segment.role)
    folded = fold(segment.text)
    decided = _personal_data(segment, folded, rules.pii, checkpoint, tools)
    injection = rules.injection
    if segment.role not in injection.trusted_roles and (injection.action, injection.hidden) != ("allow", "allow"):
        decided += _turn(
            "prompt_injection", injection.on_error, tools, lambda: _injection(folded, injection, heads, segment.role)
        )
    scanned = scan(segment.text, folded, rules.scanners, tools, segment.role, asked=asked)
    return replace(_finish(segment, folded, decided, scanned, observe=policy.mode == "observe"), rules=rules)


def _read_together(
    pieces: list[Piece], policy: Policy, heads: Heads | None, tools: Tools, *, turns: bool
) -> list[Piece]:
    """Return the pieces with what several of them say together, unless one is blocked already."""
    for group in read_together([piece.segment for piece in pieces], policy, turns=turns):
        if any(piece.blocked for piece in pieces):
            break
        pieces = _over_borders(pieces, group, policy, heads, tools)
    return pieces


def _over_borders(
    pieces: list[Piece],
    group: Together,
    policy: Policy,
    heads: Heads | None,
    tools: Tools,
) -> list[Piece]:
    texts, rules = group.texts, group.rules
    folded = [fold(pieces[at].segment.text if group.border is None else _rest(pieces[at])) for at in texts]
    decided: dict[int, list[Decided]] = {at: [] for at in texts}

    def find() -> list[Decided]:
        head = heads.prompts if heads is not None and rules.classifier else None
        read = [one.text for one in folded]
        for part, finding in find_over_turns(read, rules.threshold, head, surer=group.surer, border=group.border):
            decided[texts[part]].append(Decided(finding, "prompt_injection", _taken(rules.action_for(finding.score))))
        return []

    decided[texts[-1]] += _turn("prompt_injection", rules.on_error, tools, find)
    changed = list(pieces)
    for at, text in zip(texts, folded, strict=True):
        found = _finish(pieces[at].segment, text, decided[at], Scan([], {}, []), observe=policy.mode == "observe")
        changed[at] = replace(pieces[at], decided=(*pieces[at].decided, *found.decided))
    return changed


def _rest(piece: Piece) -> str:
    """Return a text with blanks where an attack was found in it: what is cut out, or told of, already makes no other one."""
    text = piece.segment.text
    for span in (item.finding for item in piece.decided if item.code == "prompt_injection"):
        text = text[: span.start] + " " * (span.end - span.start) + text[span.end :]
    return text


def _input_verdict(
    pieces: Sequence[Piece], policy: NamedPolicy, known: Sequence[VaultEntry], *, single: bool
) -> InputVerdict:
    blocked = any(piece.blocked for piece in pieces)
    masking = any(item.action == "mask" for piece in pieces for item in piece.decided)
    masks = Masks((piece.segment.text for piece in pieces), known) if masking and not blocked else None
    labels = Labels(numbered=False, masks=masks)
    passed = None if blocked else [_passed(piece, labels, policy.rules.mode) for piece in pieces]
    return InputVerdict(
        safe=not blocked,
        issues=issues_of(pieces),
        filtered_input=passed[0].text if passed and single else None,
        filtered_segments=tuple(passed) if passed is not None and not single else None,
        vault=() if masks is None else masks.vault,
        details=details_of(pieces, single=single),
        category_scores=scores_of(pieces, single=single),
        policy=policy.name,
        policy_hash=policy.hash,
    )


def _passed(piece: Piece, labels: Labels, mode: str) -> Segment:
    shown = _redacted(piece, _labels_for(piece, labels))
    marks = piece.rules is not None and piece.rules.mark and mode == "enforce" and shown.role in TOOL_ROLES
    return segment_with(shown, marked(shown.text)) if marks else shown


def _labels_for(piece: Piece, labels: Labels) -> Labels:
    # Numbers and placeholders are those of the whole request, whatever rules a segment has.
    if piece.rules is None:
        return labels
    pii = piece.rules.pii
    masked = frozenset(kind for kind in (*DETECTORS, PERSON) if pii.action_for(kind) == "mask")
    return replace(labels, numbered=pii.numbered, masked=masked)


def _check_output(
    segments: Sequence[Segment],
    policy: NamedPolicy,
    checkpoint: Checkpoint,
    tools: Tools,
    request: CheckRequest,
    *,
    single: bool,
) -> OutputVerdict:
    rules = policy.rules.output
    if request.second_opinion is False:
        rules = rules.model_copy(update={"scanners": rules.scanners.model_copy(update={"second_opinion": None})})
    system_texts = [segment.text for segment in segments if segment.role in SYSTEM_ROLES]
    beside = Beside(
        "\n".join(segment.text for segment in segments if segment.role == "question"),
        tuple(segment.text for segment in segments if segment.role == "context"),
    )
    asked = [
        () if segment.role in UNANSWERED_ROLES else ask_models(segment.text, rules.scanners, tools, "assistant", beside)
        for segment in segments
    ]
    pieces: list[Piece] = []
    for segment, about in zip(segments, asked, strict=True):
        checkpoint()
        if segment.role in UNANSWERED_ROLES:
            pieces.append(Piece(segment, ()))
            continue
        folded = fold(segment.text)
        decided = _personal_data(segment, folded, rules.pii, checkpoint, tools)
        decided += _turn(
            "output_filter", rules.filter.on_error, tools, partial(_marks, folded, system_texts, rules.filter)
        )
        scanned = scan(segment.text, folded, rules.scanners, tools, segment.role, beside, about)
        pieces.append(_finish(segment, folded, decided, scanned, observe=policy.rules.mode == "observe"))
    labels = Labels(rules.pii.numbered)
    passed = [
        segment_with(piece.segment, rules.filter.refusal) if piece.blocked else _redacted(piece, labels)
        for piece in pieces
    ]
    changed = any(new.text != piece.segment.text for new, piece in zip(passed, pieces, strict=True))
    return OutputVerdict(
        safe=not any(piece.blocked for piece in pieces),
        issues=issues_of(pieces) + (("content_filtered",) if changed else ()),
        filtered_response=passed[0].text if single else None,
        filtered_segments=None if single else tuple(passed),
        details=details_of(pieces, single=single),
        category_scores=scores_of(pieces, single=single),
        groundedness=_groundedness(pieces, request.confidence) if beside.context and _grounds(rules) else None,
        policy=policy.name,
        policy_hash=policy.hash,
    )


def _grounds(rules: OutputRules) -> bool:
    return rules.scanners.groundedness is not None or rules.scanners.groundedness_model is not None


def _groundedness(pieces: Sequence[Piece], confidence: float | None) -> Groundedness | None:
    decided = (item.finding for piece in pieces for item in piece.decided)
    if any(finding.detector.startswith("groundedness") and finding.category == "failure" for finding in decided):
        return None
    # Where a model was asked too, its findings come later and count.
    judged = {(piece.segment.id, one.start, one.end): one for piece in pieces for one in piece.sentences}
    sentences = tuple(
        SentenceSupport(
            segment_id=segment_id,
            start=one.start,
            end=one.end,
            support=round(1 - one.score, 4),
            kind=one.kind,
            reason=one.reason,
            causes=with_confidence(one.cause, confidence),
        )
        for (segment_id, _, _), one in judged.items()
    )
    support = [one.support for one in sentences]
    return Groundedness(score=round(sum(support) / len(support), 4) if support else 1.0, sentences=sentences)


def segment_with(segment: Segment, text: str) -> Segment:
    """Return the segment with another text."""
    return segment.model_copy(update={"text": text})


def _turn(name: str, on_error: OnError, tools: Tools, find: Callable[[], list[Decided]]) -> list[Decided]:
    found = take_turn(name, on_error, tools, find)
    return found if isinstance(found, list) else [Decided(*found)]


def _personal_data(
    segment: Segment, folded: Folded, rules: PiiRules, checkpoint: Checkpoint, tools: Tools
) -> list[Decided]:
    kinds: frozenset[PiiKind] = frozenset(kind for kind in DETECTORS if rules.action_for(kind) != "allow")
    if segment.role in rules.skip_roles or not (kinds or rules.action_for(PERSON) != "allow"):
        return []
    read = unescaped(folded.text)
    decided = _turn("personal_data", rules.on_error, tools, lambda: _of_kinds(kinds, read, rules, checkpoint))
    if rules.action_for(PERSON) != "allow":
        taken = [item.finding for item in decided]
        decided += _turn(
            "names",
            rules.on_error,
            tools,
            lambda: [_of_kind(found, PERSON, rules) for found in find_people(read.text, taken, tools.names)],
        )
    return [item._replace(finding=as_written(item.finding, read)) for item in decided]


def _of_kinds(kinds: frozenset[PiiKind], folded: Folded, rules: PiiRules, checkpoint: Checkpoint) -> list[Decided]:
    found = find_personal_data(folded.text, kinds, rules.phone_regions, checkpoint)
    return [_of_kind(finding, _policy_kind(finding), rules) for finding in found]


def _of_kind(finding: Finding, kind: PiiKind, rules: PiiRules) -> Decided:
    action = rules.action_at(kind, finding.score)
    code = "secret_detected" if finding.category == "secret" else "pii_detected"
    return Decided(finding, code, "flag" if action == "allow" else action)


def _policy_kind(finding: Finding) -> PiiKind:
    return next((kind for kind in DETECTORS if kind == finding.detector), "secret")


def _injection(folded: Folded, rules: InjectionRules, heads: Heads | None, role: str) -> list[Decided]:
    decided: list[Decided] = []
    foreign, defines = role in FOREIGN_ROLES, role == DEFINITION_ROLE
    if foreign and heads is not None and rules.hidden != "allow":
        wishes = find_hidden(folded.text, grams(folded.text, folded.skeleton), heads.documents, rules.threshold)
        decided += [Decided(wish, "prompt_injection", _taken(rules.hidden)) for wish in merge_overlaps(wishes)]
    if rules.action == "allow":
        return decided
    # What is a wish and no order may stand in a document by the thousand: there the head for documents judges alone.
    # A definition is made of orders: there phrases judge, and those of planted orders besides.
    head = None if heads is None or foreign or defines or not rules.classifier else heads.prompts
    result = score_injection(folded, head, (*ORDERS, PLANTED) if defines else ORDERS)
    if result.score <= rules.threshold:
        return decided
    # The segment's score decided; each span carries it, so that a reader sees what was compared with the threshold.
    decided += [
        Decided(replace(finding, score=result.score), "prompt_injection", _taken(rules.action_for(result.score)))
        for finding in merge_overlaps(result.findings)
    ]
    return decided


def _taken(action: InjectionAction) -> IssueAction:
    return "flag" if action == "allow" else "redact" if action == "sanitise" else action


def _marks(folded: Folded, system_texts: Sequence[str], rules: FilterRules) -> list[Decided]:
    actions: dict[str, IssueAction] = {"refuse": "block", "redact": "redact", "flag": "flag"}
    found = [*find_output_marks(folded.text), *find_leaks(folded.text, system_texts, rules.canaries)]
    decided: list[Decided] = []
    for finding in merge_overlaps(found):
        action = actions.get(rules.action_at(finding.kind, finding.score))
        if action is not None and finding.score > rules.threshold:
            code = "unsafe_content" if finding.kind in UNSAFE_KINDS else "content_filtered"
            decided.append(Decided(finding, code, action))
    return decided


def _finish(segment: Segment, folded: Folded, decided: Iterable[Decided], scanned: Scan, *, observe: bool) -> Piece:
    placed: list[Decided | Scanned] = []
    placed += [item._replace(finding=as_written(item.finding, folded)) for item in decided]
    placed.extend(scanned.decided)
    shown = tuple(item._replace(action="flag") if observe else item for item in placed)
    return Piece(segment, shown, harm=scanned.harm, sentences=scanned.sentences)


def _redacted(piece: Piece, labels: Labels) -> Segment:
    spans = merge_overlaps(item.finding for item in piece.decided if item.action in ("redact", "mask"))
    return segment_with(piece.segment, redact(piece.segment.text, spans, labels)) if spans else piece.segment
