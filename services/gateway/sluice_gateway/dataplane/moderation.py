"""Moderations: OpenAI's question whether texts are harmful, answered by the guardrail service under the key's policy."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from sluice.contracts.guard import InputVerdict, IssueDetail, Segment
from sluice.errors import SluiceError
from sluice_gateway.dataplane.body import Fields, ParsedBody, read_object
from sluice_gateway.dataplane.context import Heads, Opened, RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import (
    InvalidRequest,
    Unavailable,
    from_service,
    lacks_guard_policy,
    without_guard_policy,
    wrong_value,
)
from sluice_gateway.dataplane.stages.guard_input import requests_for
from sluice_gateway.dataplane.stages.guard_trouble import GuardTrouble
from sluice_gateway.dataplane.table import Endpoint
from sluice_gateway.dataplane.texts import Piece

Checked = tuple[Sequence[Segment], InputVerdict]
"""What one question to the guardrail held, and its verdict."""

MODEL = "sluice-guardrail"
_MAX_INPUTS = 2048
_MAX_MODEL = 200
# OpenAI's categories, which its clients read by name. Source: https://platform.openai.com/docs/guides/moderation
CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent"),
    *("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors"),
    *("violence", "violence/graphic"),
)


def parse_moderation(raw: bytes) -> ParsedBody:
    """Parse and check the body of a moderation.

    Raises:
        InvalidRequest: it is no JSON object, or a field has a wrong type or value.
    """
    fields = read_object(raw)
    model = fields.get("model")
    if model is not None and (type(model) is not str or not 0 < len(model) <= _MAX_MODEL):
        raise wrong_value("model", "must be a name, or left out: the guardrail answers whatever it is.")
    inputs_of(fields)
    return ParsedBody(fields, MODEL, stream=False, wants_usage=False, max_tokens=None, extension=None, canonical=False)


def inputs_of(fields: Fields) -> list[list[str]]:
    """Return the texts of each input: a list of strings is many inputs, a list of content parts is one.

    Raises:
        InvalidRequest: `input` is none of these, or has an image.
    """
    value = fields.get("input")
    if type(value) is str:
        return [[value]]
    if type(value) is not list or not value:
        raise wrong_value("input", "must be a string, a list of strings, or a list of content parts, and not empty.")
    if len(value) > _MAX_INPUTS:
        raise wrong_value("input", f"must have at most {_MAX_INPUTS} entries. Send several requests.")
    if all(type(item) is str for item in value):
        return [[item] for item in value]
    if not any(type(item) is dict for item in value):
        wrong = next(place for place, item in enumerate(value) if type(item) is not str)
        raise wrong_value(
            f"input[{wrong}]", "must be a string: the guardrail reads words, neither token numbers nor lists in lists."
        )
    return [[_text_of(part, place) for place, part in enumerate(value)]]


def _text_of(part: object, place: int) -> str:
    where = f"input[{place}]"
    if type(part) is not dict:
        raise wrong_value(where, "must be a content part, since others are: send parts alone, or strings alone.")
    if part.get("type") == "image_url":
        raise InvalidRequest(
            f"`{where}` is an image, which the guardrail cannot read. Send text parts only.",
            param=where,
            code="unsupported_content",
        )
    text = part.get("text")
    if part.get("type") != "text" or type(text) is not str:
        raise wrong_value(where, 'must be a text part such as {"type": "text", "text": …}.')
    return text


def admit_moderation(endpoint: Endpoint, heads: Heads, started: float, opened: Opened, raw: bytes) -> RequestContext:
    """Decide on the body of a moderation: it names no model, and the guard policy of the key's policy judges.

    Raises:
        InvalidRequest, Unavailable: the request is refused.
    """
    body = parse_moderation(raw)
    deadline = None if heads.deadline_s is None else asyncio.get_running_loop().time() + heads.deadline_s
    ctx = RequestContext(endpoint, heads, started, opened, raw, body, deadline)
    policy = opened.table.policy(opened.key.policy)
    if policy is None and opened.key.policy is not None:
        raise Unavailable("The policy of this API key does not exist any more. Ask your administrator to correct it.")
    ctx.model = ctx.route = None
    ctx.plan = opened.table.plan(None, virtual=False, retrieval=False)  # the guard is asked here, and not before
    return ctx


class Moderate:
    """The stage that answers a moderation."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps
        self._trouble = GuardTrouble(deps, "moderation")

    async def __call__(self, ctx: RequestContext) -> bytes:
        """Return the answer.

        Raises:
            InvalidRequest: a text is longer than the guardrail reads.
            Unavailable, OutOfTime: it could not be asked.
            GuardPolicyMissing: the key's policy names a guard policy that is not there.
        """
        inputs = inputs_of(ctx.fields)
        found = [Piece((), "user", text) for texts in inputs for text in texts]
        deps, policy = self._deps, ctx.table.policy(ctx.key.policy)
        guard_policy = "default" if policy is None else policy.guard_policy
        try:
            checked = [
                (
                    request.segments or (),
                    await deps.guard.check_input(
                        request, tenant=ctx.key.tenant, timeout_s=deps.options.stage_timeout_s
                    ),
                )
                for request in requests_for(found, guard_policy)
            ]
        except SluiceError as exc:
            self._trouble.note(exc, ctx.key.policy, guard_policy)
            if lacks_guard_policy(exc):
                raise without_guard_policy(guard_policy) from exc
            raise from_service(exc, "guardrail") from exc
        ids = iter(range(len(found)))
        owners = [[str(next(ids)) for _ in texts] for texts in inputs]
        answer = {
            "id": "modr-" + ctx.heads.request_id.removeprefix("req_"),
            "model": MODEL,
            "results": [result(segments, checked) for segments in owners],
        }
        return orjson.dumps(answer)


def result(segments: Sequence[str], checked: Sequence[Checked]) -> dict[str, Any]:
    """Return the result of one input, which stands in these segments: its categories are those that the policy acts on.

    A verdict names its findings only up to a number. An issue that none of them explains counts for every text of its question.
    """
    scores: dict[str, float] = {}
    flagged: set[str] = set()
    for asked, verdict in checked:
        if all(segment.id not in segments for segment in asked):
            continue
        explained = {detail.code for detail in verdict.details}
        own = [detail for detail in verdict.details if detail.segment_id in segments]
        for detail in own:
            name = category_of(detail)
            flagged.add(name)
            scores[name] = max(scores.get(name, 0.0), detail.score)
        for one in verdict.category_scores:
            if one.segment_id in segments:
                scores[one.category] = max(scores.get(one.category, 0.0), one.score)
        unexplained = [issue for issue in verdict.issues if issue not in explained]
        flagged.update(unexplained)
        scores |= dict.fromkeys(unexplained, 1.0)
    names = dict.fromkeys((*CATEGORIES, *sorted(scores)))
    return {
        "flagged": bool(flagged),
        "categories": {name: name in flagged for name in names},
        "category_scores": {name: scores.get(name, 0.0) for name in names},
        "category_applied_input_types": {name: ["text"] if name in flagged else [] for name in names},
    }


def category_of(detail: IssueDetail) -> str:
    """Return the category of a finding: OpenAI's where the detector's kind is one of them, else the issue's code."""
    kind = detail.kind.replace("_", "-")
    return kind if kind in CATEGORIES else detail.code
