"""Judges tool calls by the risk of their tools (handbook F155): reading is low, computing and asking others medium, writing high.

A policy names the kinds of its tools. Where it does not, the words of a tool's name decide, then those of its description; the riskier word
counts, and a tool that says nothing of itself counts as the policy says (as one that writes, unless it says otherwise).
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sluice.contracts.guard import IssueDetail, OutputVerdict, ToolAction, ToolCall, ToolKind, ToolRisk, ToolVerdict

T = TypeVar("T")
By = Literal["declared", "name", "description", "nothing"]
ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:*?/-]{1,200}$")]

RISKS: Mapping[ToolKind, ToolRisk] = {"read": "low", "compute": "medium", "write": "high", "external": "medium"}
_RISKIER: tuple[ToolKind, ...] = ("write", "external", "compute", "read")
_VERBS: Mapping[ToolKind, str] = {
    "write": (
        "append apply approve archive assign buy cancel change close commit configure confirm copy create delete deploy destroy disable drop"
        " edit enable erase forward grant insert install kill merge modify move overwrite patch pay place publish purchase push refund register remove"
        " rename replace reply reset restart revoke sell send shutdown submit subscribe sync terminate transfer trigger"
        " truncate unsubscribe update upload upsert wipe withdraw write"
    ),
    "external": (
        "api browse browser call crawl curl download fetch ftp http https internet mail navigate online open page ping proxy request rest scrape smtp soap ssh"
        " url visit web webhook website"
    ),
    "compute": (
        "bash calc calculate calculator classify code compile compute convert eval evaluate execute exec format interpreter math optimise optimize parse python"
        " query render run sandbox script shell simulate solve sort sql summarise summarize terminal test train transform translate validate"
    ),
    "read": (
        "check count describe detect display explain find get grep head inspect list load look lookup ls monitor peek preview read retrieve scan search see"
        " select show stat status tail view watch weather"
    ),
}
_FIRST = frozenset(
    ["add", "book", "charge", "order", "post", "put", "save", "schedule", "set", "share", "sign", "stop", "store"]
)
"""Words that mean writing as the first of a name, and may be nouns behind it; in a description they may mean less."""

_WORDS = {kind: frozenset(words.split()) for kind, words in _VERBS.items()}
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class ToolRules(BaseModel):
    """What may become of an answer's tool calls, by the risk of their tools.

    `kinds` names the kind of a tool, or of all that a pattern with `*` fits; the first that fits counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: dict[ToolName, ToolKind] = Field(default_factory=dict, max_length=1000)
    unknown: ToolKind = Field("write", description="what a tool counts as whose name and description say nothing")
    risks: dict[ToolKind, ToolRisk] = Field(default_factory=dict, description="where they differ from F155's table")
    actions: dict[ToolRisk, ToolAction] = Field(
        default_factory=dict, description="low: allow, medium: flag, high: approve, where nothing else is said"
    )
    tools: dict[ToolName, ToolAction] = Field(
        default_factory=dict, max_length=1000, description="actions for tools by name, whatever their risk"
    )

    def risk_of(self, kind: ToolKind) -> ToolRisk:
        """Return the risk of a kind of tools."""
        return self.risks.get(kind, RISKS[kind])

    def action_for(self, name: str, risk: ToolRisk) -> ToolAction:
        """Return what is to be done about a call."""
        own = _fitting(self.tools, name)
        return own if own is not None else self.actions.get(risk, _ACTIONS[risk])


_ACTIONS: Mapping[ToolRisk, ToolAction] = {"low": "allow", "medium": "flag", "high": "approve"}
_CODES: Mapping[ToolAction, str] = {
    "flag": "risky_tool",
    "approve": "tool_approval_required",
    "block": "tool_blocked",
}


class Classified(NamedTuple):
    """The kind of a tool and what told it."""

    kind: ToolKind
    by: By


def classify(name: str, description: str, rules: ToolRules) -> Classified:
    """Return what a tool does, as far as the policy, its name and its description tell."""
    declared = _fitting(rules.kinds, name)
    if declared is not None:
        return Classified(declared, "declared")
    named, said = _of_name(name), _of_description(description)
    if named is None:
        return Classified(rules.unknown, "nothing") if said is None else Classified(said, "description")
    # A description may only make it riskier: "get_user" that "deletes the user's session" writes.
    return (
        Classified(named, "name")
        if said != "write"
        else Classified("write", "name" if named == "write" else "description")
    )


def judged(call: ToolCall, rules: ToolRules) -> ToolVerdict:
    """Return what the policy says of a call."""
    kind, by = classify(call.name, call.description, rules)
    risk = rules.risk_of(kind)
    return ToolVerdict(
        id=call.id, name=call.name, kind=kind, by=by, risk=risk, action=rules.action_for(call.name, risk)
    )


def with_tool_calls(
    verdict: OutputVerdict, calls: tuple[ToolCall, ...], rules: ToolRules | None, *, enforced: bool
) -> OutputVerdict:
    """Return the verdict with what the policy says of the answer's tool calls; where nothing is enforced they are flagged at most."""
    if rules is None or not calls:
        return verdict
    found = [judged(call, rules) for call in calls]
    codes = tuple(dict.fromkeys(_CODES[one.action] for one in found if one.action != "allow"))
    details = [
        IssueDetail(
            code=_CODES[one.action],
            detector="tool_risk",
            kind=one.kind,
            category="tool",
            reason=f"{one.risk} risk, told by {one.by}",
            action="flag" if one.action == "flag" or not enforced else "block",
            score={"low": 0.2, "medium": 0.5, "high": 0.9}[one.risk],
            segment_id=one.id or None,
            start=0,
            end=0,
        )
        for one in found
        if one.action != "allow"
    ]
    shown = found if enforced else [one.model_copy(update={"action": _observed(one.action)}) for one in found]
    return verdict.model_copy(
        update={
            "issues": (*verdict.issues, *(code for code in codes if code not in verdict.issues)),
            "details": (*verdict.details, *details),
            "tool_calls": tuple(shown),
        }
    )


def _observed(action: ToolAction) -> ToolAction:
    return "allow" if action == "allow" else "flag"


def _fitting(table: Mapping[str, T], name: str) -> T | None:
    return next((value for pattern, value in table.items() if fnmatchcase(name, pattern)), None)


def _of_name(name: str) -> ToolKind | None:
    words = [piece.lower() for piece in _PIECE.findall(name)]
    if words and words[0] in _FIRST:
        return "write"
    return next((kind for kind in _RISKIER if not _WORDS[kind].isdisjoint(words)), None)


def _of_description(text: str) -> ToolKind | None:
    # Descriptions begin with what the tool does: "Deletes a user", "Look up an order".
    first = _PIECE.search(text)
    verb = "" if first is None else first.group().lower()
    forms = {verb, verb.removesuffix("s"), verb.removesuffix("es")}
    return next((kind for kind in _RISKIER if not _WORDS[kind].isdisjoint(forms)), None)
