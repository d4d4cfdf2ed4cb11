"""The rules of the scanners in guard.yaml; a scanner without rules does not run."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sluice_guardrail.domain.scanners.harm_phrases import HarmCategory

ScanAction = Literal["block", "redact", "flag"]
OnError = Literal["closed", "open"]
Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9*]([a-z0-9.-]{0,251}[a-z0-9])?$", to_lower=True)]
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
Phrase = Annotated[str, StringConstraints(min_length=2, max_length=100, strip_whitespace=True, to_lower=True)]
Topic = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]


NEVER_SEVERE = 1.0  # no score is above it


def both_or_none(severe_from: float, severe_action: str | None) -> None:
    """Check that `severe_from` and `severe_action` stand together, since one alone would do nothing.

    Raises:
        ValueError: one of them is missing.
    """
    if (severe_from == NEVER_SEVERE) != (severe_action is None):
        raise ValueError("`severe_from` and `severe_action` stand together: one of them alone does nothing")


class ScannerRules(BaseModel):
    """What every scanner has: `action` from `threshold` on, and other actions from higher scores on (`severe`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: ScanAction = "flag"
    threshold: float = Field(0.5, ge=0, le=1)
    severe_from: float = Field(NEVER_SEVERE, ge=0, le=1, description="scores above it take `severe_action`")
    severe_action: ScanAction | None = None
    on_error: OnError = Field(
        "closed", description="what a scanner that is broken or late means: closed blocks, open flags"
    )

    @model_validator(mode="after")
    def _severe_is_whole(self) -> Self:
        both_or_none(self.severe_from, self.severe_action)
        return self

    def action_for(self, score: float, kind: str = "") -> ScanAction | None:
        """Return what to do about a finding of this kind with this score, None below the threshold."""
        del kind
        if score < self.threshold:
            return None
        return self.severe_action if self.severe_action is not None and score > self.severe_from else self.action


class UrlRules(ScannerRules):
    """Hosts that may stand in a text (all, if the list is empty), and hosts that may not; a host covers its subdomains."""

    allow: tuple[Host, ...] = Field((), max_length=1000)
    deny: tuple[Host, ...] = Field((), max_length=1000)


class LanguageRules(ScannerRules):
    """Languages (ISO 639-1) that may be used (all, if the list is empty), and those that may not."""

    action: Literal["block", "flag"] = "flag"
    severe_action: Literal["block", "flag"] | None = None
    allow: tuple[LanguageCode, ...] = Field((), max_length=200)
    deny: tuple[LanguageCode, ...] = Field((), max_length=200)

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not self.allow and not self.deny:
            raise ValueError("names no language: give `allow` or `deny`, else it finds nothing")
        return self


class TopicRules(ScannerRules):
    """Topics by their phrases: each of `deny` is a finding, and so is a text with none of `allow` (if there are any)."""

    allow: dict[Topic, Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=500)]] = Field(
        default_factory=dict, max_length=50
    )
    deny: dict[Topic, Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=500)]] = Field(
        default_factory=dict, max_length=50
    )

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not self.allow and not self.deny:
            raise ValueError("names no topic: give `allow` or `deny`, else it finds nothing")
        return self


class LengthRules(ScannerRules):
    """The longest text that may pass."""

    max_characters: int | None = Field(None, ge=1)
    max_words: int | None = Field(None, ge=1)
    max_lines: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.max_characters is None and self.max_words is None and self.max_lines is None:
            raise ValueError("has no limit: give `max_characters`, `max_words` or `max_lines`, else it finds nothing")
        return self


class HarmRules(ScannerRules):
    """Harm in an input: `action` above `threshold` (handbook F265: block above 0.8), and `categories` where one differs."""

    action: ScanAction = "block"
    threshold: float = Field(0.8, ge=0, le=1)
    categories: dict[HarmCategory, Literal["block", "redact", "flag", "allow"]] = Field(default_factory=dict)
    skip_roles: frozenset[str] = frozenset(
        {"system", "developer", "assistant", "tool", "function", "context", "definition"}
    )

    def action_for(self, score: float, kind: str = "") -> ScanAction | None:
        """Return what to do about a phrase of this category with this score, None if nothing."""
        if score <= self.threshold:
            return None
        own = {str(known): action for known, action in self.categories.items()}.get(kind)
        if own is not None:
            return None if own == "allow" else own
        return super().action_for(score)

    def issue_for(self, kind: str) -> str:
        """Return the issue that a phrase of this category is."""
        return "high_toxicity" if kind.startswith(("harassment", "hate")) else "unsafe_content"


class OutputHarmRules(HarmRules):
    """Harm in an answer (handbook F269: block when its safety, 1 less the score, is below 0.5)."""

    threshold: float = Field(0.5, ge=0, le=1)
    skip_roles: frozenset[str] = frozenset()

    def issue_for(self, kind: str) -> str:
        """Return the issue that a phrase of this category is."""
        del kind
        return "unsafe_content"


class HarmModelRules(HarmRules):
    """Harm as a model sees it; `model` names another one than the service's."""

    threshold: float = Field(0.5, ge=0, le=1)
    model: str | None = Field(None, min_length=1, max_length=200)


class OutputHarmModelRules(OutputHarmRules, HarmModelRules):
    """Harm in an answer as a model sees it."""


class InjectionModelRules(ScannerRules):
    """Attacks as a classifying model such as Prompt Guard sees them; `model` names another one than the service's."""

    action: ScanAction = "block"
    model: str | None = Field(None, min_length=1, max_length=200)
    skip_roles: frozenset[str] = frozenset({"system", "developer", "assistant", "definition"})


class LlmGuardRules(ScannerRules):
    """What the scanners of an LLM Guard API refuse; its own thresholds decide, `kinds` says what becomes of one scanner's word (`allow`: it is not asked)."""

    action: Literal["block", "flag"] = "block"
    severe_action: Literal["block", "flag"] | None = None
    threshold: float = Field(0.0, ge=0, le=1)
    kinds: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,60}$")], Literal["block", "flag", "allow"]] = (
        Field(default_factory=dict, max_length=100)
    )
    skip_roles: frozenset[str] = frozenset({"system", "developer", "assistant", "definition"})

    @property
    def unwanted(self) -> tuple[str, ...]:
        """The scanners that are not asked."""
        return tuple(sorted(kind for kind, action in self.kinds.items() if action == "allow"))

    def action_for(self, score: float, kind: str = "") -> ScanAction | None:
        """Return what to do about a scanner's refusal with this risk, None below the threshold."""
        own = self.kinds.get(kind)
        if own is None or score < self.threshold:
            return super().action_for(score)
        return None if own == "allow" else own


class OutputLlmGuardRules(LlmGuardRules):
    """What the scanners of an LLM Guard API refuse of an answer."""

    skip_roles: frozenset[str] = frozenset()


class Scanners(BaseModel):
    """Which scanners run, and by which rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    invisible_text: ScannerRules | None = None
    urls: UrlRules | None = None
    language: LanguageRules | None = None
    topics: TopicRules | None = None
    code: ScannerRules | None = None
    length: LengthRules | None = None
    harm: HarmRules | None = None
    harm_model: HarmModelRules | None = None
    injection_model: InjectionModelRules | None = None
    llm_guard: LlmGuardRules | None = None


class GroundednessRules(ScannerRules):
    """Sentences of an answer that the context does not support: `action` above `threshold` (handbook F270: flag above 0.6)."""

    threshold: float = Field(0.6, ge=0, le=1)

    def action_for(self, score: float, kind: str = "") -> ScanAction | None:
        """Return what to do about a sentence that nothing supports with this likelihood, None if nothing."""
        return super().action_for(score, kind) if score > self.threshold else None


class GroundednessModelRules(GroundednessRules):
    """Sentences that a model finds no support for; `model` names another one than the service's."""

    model: str | None = Field(None, min_length=1, max_length=200)


class SecondOpinionRules(ScannerRules):
    """Answers that a second model disputes (handbook F045), where the question comes along; one that cannot tell scores 0.5."""

    threshold: float = Field(0.6, ge=0, le=1)
    model: str | None = Field(None, min_length=1, max_length=200)


class OutputScanners(Scanners):
    """Which scanners run over answers; groundedness is judged where the context comes along."""

    harm: OutputHarmRules | None = None
    harm_model: OutputHarmModelRules | None = None
    llm_guard: OutputLlmGuardRules | None = None
    groundedness: GroundednessRules | None = GroundednessRules()
    groundedness_model: GroundednessModelRules | None = None
    second_opinion: SecondOpinionRules | None = SecondOpinionRules()
