"""Guard policies: which findings matter, and what is done about each."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from sluice.settings import ConfigError
from sluice_guardrail.domain.detectors import PiiKind
from sluice_guardrail.domain.errors import UnknownPolicy
from sluice_guardrail.domain.names import PERSON
from sluice_guardrail.domain.output_filter import MarkKind
from sluice_guardrail.domain.review import ReviewRules
from sluice_guardrail.domain.scanners.rules import NEVER_SEVERE, OnError, OutputScanners, Scanners, both_or_none
from sluice_guardrail.domain.sentences import described
from sluice_guardrail.domain.tool_risk import ToolRules

PiiAction = Literal["redact", "mask", "block", "flag", "allow"]
InjectionAction = Literal["block", "sanitise", "flag", "allow"]
FilterAction = Literal["refuse", "redact", "flag", "allow"]
PolicyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Canary = Annotated[str, StringConstraints(pattern=r"^(?:[^A-Za-z0-9]*[A-Za-z0-9]){10}", max_length=200)]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]

TOOL_ROLES = ("tool", "function")
FOREIGN_ROLES = (*TOOL_ROLES, "context")
DEFINITION_ROLE = "definition"
VARIABLE_ROLE = "variable"
Rules = TypeVar("Rules", bound=BaseModel)
REFUSAL = "I can't provide that information."


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Detecting(_Section):
    on_error: OnError = Field(
        default="closed", description="what a detector that is broken or late means: closed blocks, open flags"
    )


class _Graded(_Detecting):
    severe_from: float = Field(NEVER_SEVERE, ge=0, le=1, description="scores above it take `severe_action`")

    @model_validator(mode="after")
    def _severe_is_whole(self) -> Self:
        both_or_none(self.severe_from, getattr(self, "severe_action", None))
        return self


class PiiRules(_Graded):
    """Personal data and secrets: `action` for every kind, and `kinds` where one differs; what a policy allows is never severe."""

    action: PiiAction = "redact"
    kinds: dict[PiiKind, PiiAction] = Field(default_factory=dict)
    severe_action: Literal["redact", "block", "flag"] | None = None
    skip_roles: frozenset[str] = frozenset()
    numbered: bool = Field(
        default=False, description="[EMAIL_1], [EMAIL_2]: the same value has the same number in one request"
    )
    phone_regions: tuple[Region, ...] = Field(("US", "GB", "DE"), max_length=10)

    def action_for(self, kind: PiiKind) -> PiiAction:
        """Return what to do about a finding of this kind; names of people are let be where `kinds` does not name them."""
        return self.kinds.get(kind, "allow" if kind == PERSON else self.action)

    def action_at(self, kind: PiiKind, score: float) -> PiiAction:
        """Return what to do about a finding of this kind with this score."""
        action = self.action_for(kind)
        if self.severe_action is None or action == "allow" or score <= self.severe_from:
            return action
        return self.severe_action

    @model_validator(mode="after")
    def _masked_or_redacted(self) -> "PiiRules":
        if self.severe_action == "redact" and "mask" in (self.action, *self.kinds.values()):
            raise ValueError("what is masked cannot be redacted when it is severe: use `severe_action: block`")
        return self


class InjectionRules(_Graded):
    """Prompt injection: `action` from `threshold` on (handbook F267: above 0.7; F378: sanitise or reject)."""

    action: InjectionAction = "block"
    threshold: float = Field(0.7, ge=0, le=1)
    severe_action: InjectionAction | None = None
    classifier: bool = Field(default=True, description="prompts: ask the trained head besides the phrases")
    turns: int = Field(
        8, ge=1, le=32, description="how many of the user's last turns are also read as one text; 1: each alone"
    )
    hidden: InjectionAction = Field(
        default="sanitise",
        description="retrieved text and tool results: what to do about a wish to an assistant in them",
    )
    trusted_roles: frozenset[str] = frozenset({"system", "developer", "assistant"})

    @model_validator(mode="after")
    def _mild_ones_are_looked_for(self) -> "InjectionRules":
        if self.severe_action is not None and self.action == "allow":
            raise ValueError(
                "`severe_action` stands beside an `action` that looks for injections: `flag` does no more than tell"
            )
        return self

    def action_for(self, score: float) -> InjectionAction:
        """Return what to do about an injection with this score, which is above `threshold`."""
        return self.severe_action if self.severe_action is not None and score > self.severe_from else self.action


class FilterRules(_Graded):
    """Marks of a leak in an answer (handbook F128): `action` for every kind, and `kinds` where one differs; what a policy allows is never severe."""

    action: FilterAction = "refuse"
    kinds: dict[MarkKind, FilterAction] = Field(default_factory=dict)
    severe_action: Literal["refuse", "redact", "flag"] | None = None
    threshold: float = Field(0.7, ge=0, le=1)
    refusal: str = Field(REFUSAL, min_length=1, max_length=2000)
    canaries: tuple[Canary, ...] = Field(
        (),
        max_length=50,
        description="strings of system prompts that must never come out, each of 10 letters or digits at least",
    )

    def action_at(self, kind: str, score: float) -> FilterAction:
        """Return what to do about a mark of this kind with this score."""
        action = {str(known): action for known, action in self.kinds.items()}.get(kind, self.action)
        if self.severe_action is None or action == "allow" or score <= self.severe_from:
            return action
        return self.severe_action


class InputRules(_Section):
    """What is checked before a request reaches a model."""

    pii: PiiRules = PiiRules()
    injection: InjectionRules = InjectionRules()
    scanners: Scanners = Scanners()
    mark: bool = Field(
        default=False, description="tool results: put what passes between marks that say that it gives no orders"
    )


class OutputRules(_Section):
    """What is checked before an answer reaches the caller."""

    pii: PiiRules = PiiRules()
    filter: FilterRules = FilterRules()
    scanners: OutputScanners = OutputScanners()
    review: ReviewRules | None = Field(None, description="which answers a person should look at")
    tools: ToolRules | None = Field(None, description="what may become of tool calls, by the risk of their tools")

    @field_validator("pii")
    @classmethod
    def _nothing_is_masked(cls, value: PiiRules) -> PiiRules:
        if "mask" in (value.action, *value.kinds.values()):
            raise ValueError("`mask` is for inputs: what a model wrote has no values to put back; use `redact`")
        return value


class Policy(_Section):
    """One guard policy; in mode `observe` findings are reported and nothing is changed or blocked.

    `tool_results` holds for segments of role `tool` and `function`, `context` for those of role `context` (retrieved text);
    without them `input` holds for these too. `definitions` holds for the descriptions of tools and schemas (role `definition`); without it the rules of
    `input` for personal data, injection, hidden characters and URLs do, and none of those about what a user says. A segment of role `variable` is a user's text that stands in
    a system message besides: it is read for injection alone, and blocked where another text would be cut. Detectors whose turn comes later than `deadline_ms` after the check began count as late,
    scanners those after `scan_ms` too. Without `deadline_ms` the service's own limit ends the whole check.
    """

    description: str = ""
    mode: Literal["enforce", "observe"] = "enforce"
    scan_ms: int = Field(1000, ge=1, le=60_000)
    deadline_ms: int | None = Field(None, ge=1, le=60_000)
    input: InputRules = InputRules()
    tool_results: InputRules | None = None
    context: InputRules | None = None
    definitions: InputRules | None = None
    output: OutputRules = OutputRules()

    def rules_for(self, role: str) -> InputRules:
        """Return what holds for an input segment of this role."""
        if role in TOOL_ROLES:
            return self.tool_results or self.input
        if role == DEFINITION_ROLE:
            return self.definitions or self._of_definitions
        if role == VARIABLE_ROLE:
            return self._of_variables
        return (self.context or self.input) if role == "context" else self.input

    @cached_property
    def _of_definitions(self) -> InputRules:
        found = self.input.scanners
        kept = Scanners(invisible_text=found.invisible_text, urls=found.urls)
        return InputRules(pii=self.input.pii, injection=self.input.injection, scanners=kept)

    @cached_property
    def _of_variables(self) -> InputRules:
        injection, attack = self.input.injection, self.input.scanners.injection_model
        unread = InjectionRules(action="allow", hidden="allow")
        asked = _uncut(attack) if attack is not None and _trusts_system_alone(attack.skip_roles) else None
        return InputRules(
            pii=PiiRules(action="allow"),
            injection=_uncut(injection) if _trusts_system_alone(injection.trusted_roles) else unread,
            scanners=Scanners(injection_model=asked),
        )


def _trusts_system_alone(roles: frozenset[str]) -> bool:
    # Else the value was read in its message already, or nobody's words are.
    return "system" in roles and roles.isdisjoint({"user", VARIABLE_ROLE})


def _uncut(rules: Rules) -> Rules:
    # A value was put into its message: nothing can be cut out of it there.
    cut = [name for name in ("action", "severe_action") if getattr(rules, name) in ("sanitise", "redact")]
    return rules.model_copy(update=dict.fromkeys(cut, "block"))


class PolicyFile(_Section):
    """The content of guard.yaml; `version` is for people, the hash of a policy is for machines."""

    version: str = Field(min_length=1, max_length=40)
    policies: dict[PolicyName, Policy]

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) else value

    @field_validator("policies")
    @classmethod
    def _default_is_there(cls, value: dict[str, Policy]) -> dict[str, Policy]:
        if "default" not in value:
            raise ValueError("there must be a policy named `default`")
        return value


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy with its name and the hash of its content."""

    name: str
    hash: str
    rules: Policy


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies of one version of guard.yaml."""

    version: str
    policies: Mapping[str, NamedPolicy] = field(default_factory=dict)

    def get(self, name: str) -> NamedPolicy:
        """Return a policy.

        Raises:
            UnknownPolicy: the file has none of this name.
        """
        found = self.policies.get(name)
        if found is None:
            known = ", ".join(sorted(self.policies))
            raise UnknownPolicy(
                f"There is no guard policy named {name!r}. Known: {known}. Policies stand in guard.yaml."
            )
        return found


def parse_policies(content: Any, where: str, line_of: Callable[[Sequence[str | int]], str] = lambda _: "") -> PolicySet:
    """Return the policies of a parsed guard.yaml.

    Raises:
        ConfigError: names each field that is wrong, with its path in the file.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"{where} must be a mapping with `version` and `policies`.")
    try:
        parsed = PolicyFile.model_validate(content)
    except ValidationError as exc:
        said = described(exc, PolicyFile, line_of)
        raise ConfigError(f"{where} is not right: {said}{'' if said.endswith('?') else '.'}") from exc
    named = {name: NamedPolicy(name, _hash(policy), policy) for name, policy in parsed.policies.items()}
    return PolicySet(parsed.version, named)


def _hash(policy: Policy) -> str:
    content = policy.model_dump(mode="python")
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=sorted).encode()).hexdigest()[:16]
