"""Prompts: templates with named sections that are stored and versioned, and that a request names with its variables."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from sluice.contracts.base import Metadata, Reply, Request, Usd
from sluice.contracts.feedback import PromptVersionFeedback
from sluice.contracts.gateway import ModelName, PromptName
from sluice.contracts.usage import UsageTotals

SectionText = Annotated[str, StringConstraints(min_length=1, max_length=100_000, pattern=r"^[^\x00]*$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
VariableText = Annotated[str, StringConstraints(max_length=1_000_000)]
Version = Annotated[int, Field(ge=1, le=1_000_000)]
Note = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
SectionStyle = Literal["markdown", "xml"]
PromptObjective = Literal["feedback", "validity", "cost", "latency"]
PromptSplitAction = Literal["set", "ended", "released", "tuned", "promoted"]
SAYS_ITSELF = frozenset({"messages", "model", "prompt", "stream", "stream_options"})


class PromptExample(Request):
    """One example: what comes in, and the answer that it should get."""

    input: SectionText
    output: SectionText


class PromptSections(Request):
    """The parts of a prompt, in the order in which a model reads them; at least one is there.

    `system` is the system message, the others together the user's. `{{name}}` stands for a variable in each of them.
    """

    system: SectionText | None = None
    context: SectionText | None = None
    examples: Annotated[tuple[PromptExample, ...], Field(max_length=100)] = ()
    task: SectionText | None = None
    input: SectionText | None = None
    output_format: SectionText | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError(
                "a prompt needs at least one section: system, context, examples, task, input or output_format"
            )
        return self


class PromptTemplate(Request):
    """What one version of a prompt says.

    `style` is how the sections of the user's message are told apart: headings of Markdown, or elements of XML; a single section
    has neither. `defaults` are values of variables that a request may leave out. `model` and `parameters` (fields of a chat
    completion, such as `temperature` or `response_format`) hold unless the request says its own.
    """

    sections: PromptSections
    style: SectionStyle = "markdown"
    defaults: Annotated[dict[VariableName, VariableText], Field(max_length=100)] = Field(default_factory=dict)
    model: ModelName | None = None
    parameters: Annotated[dict[str, Any], Field(max_length=100)] = Field(default_factory=dict)
    note: Note = ""

    @field_validator("parameters")
    @classmethod
    def _can_be_written(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if refused := sorted(SAYS_ITSELF & set(parameters)):
            raise ValueError(f"leave out {', '.join(refused)}: the request or the version itself says it")
        try:
            json.dumps(parameters, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as exc:
            raise ValueError(
                "must be JSON that can be written again: no NaN, no lone surrogates, not nested too deep"
            ) from exc
        return parameters


class CreatePrompt(PromptTemplate):
    """A new prompt, whose first version is in use at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "support-answer",
                    "sections": {
                        "system": "You answer customers of {{company}}. Be brief.",
                        "task": "Answer the question.",
                        "input": "{{question}}",
                        "output_format": "Two sentences of plain text.",
                    },
                    "defaults": {"company": "Acme"},
                    "model": "auto",
                    "parameters": {"temperature": 0},
                }
            ]
        }
    )

    name: PromptName
    description: Note = ""
    metadata: Metadata = Field(default_factory=dict)


class CreatePromptVersion(PromptTemplate):
    """A new version of a prompt; `release` puts it in use at once, else the one in use stays."""

    release: bool = False


class UpdatePrompt(Request):
    """What to change of a prompt; `default_version` puts a version in use, an older one too."""

    description: Note | None = None
    default_version: Version | None = None
    metadata: Metadata | None = None


class PromptShare(Request):
    """The share of one version in a split: its weight out of the sum of all weights."""

    version: Version
    weight: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class PromptTuning(Request):
    """Lets the weights of a split follow what is measured of its versions, in small steps that are all recorded.

    `objective`: `feedback` (the mean score of thumbs and ratings), `validity` (the share of answers that had the demanded form), `cost`
    (US dollars of an answer) or `latency` (milliseconds of an answer). No weight changes before every version has `min_samples` outcomes;
    then, every `every_s` seconds, each version's share moves towards the probability that it is the best one, by `max_step` at most and
    never below `floor`. Versions that are worse with the stated `confidence`, however often is looked, or whose answers are known to have
    the demanded form less often, fall back to the floor. When one is left it is put in use and the split ends, unless `promote` is false.
    """

    objective: PromptObjective
    min_samples: Annotated[int, Field(ge=30, le=1_000_000)] = 100
    confidence: Annotated[float, Field(ge=0.8, le=0.999)] = 0.95
    max_step: Annotated[float, Field(ge=0.01, le=0.5)] = 0.1
    floor: Annotated[float, Field(ge=0.01, le=0.3)] = 0.05
    every_s: Annotated[int, Field(ge=60, le=604_800)] = 3600
    promote: bool = True


class PromptSplit(Request):
    """Which versions answer requests that name none, and how many of them each.

    The same end user gets the same version, as long as weights do not change; when a weight grows, users move to its version only.
    With `tune` the weights change by themselves; they are given as shares of 100 then.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"shares": [{"version": 1, "weight": 90}, {"version": 2, "weight": 10}]}]}
    )

    shares: Annotated[tuple[PromptShare, ...], Field(min_length=2, max_length=10)]
    tune: PromptTuning | None = None

    @model_validator(mode="after")
    def _can_be_drawn_from(self) -> Self:
        if len({share.version for share in self.shares}) < len(self.shares):
            raise ValueError("name each version once")
        if not any(share.weight for share in self.shares):
            raise ValueError("at least one weight has to be more than 0")
        if self.tune is not None and not all(share.weight for share in self.shares):
            raise ValueError(
                "with `tune` every weight has to be more than 0, since a version without requests shows nothing"
            )
        if self.tune is not None and self.tune.floor * len(self.shares) > 1:
            raise ValueError(f"`tune.floor` is at most {1 / len(self.shares):.3g} with {len(self.shares)} versions")
        return self


class Prompt(Reply):
    """A prompt; `default_version` is the one in use, `newest_version` the one that was made last.

    While there is a `split`, requests that name no version are answered by its versions instead.
    """

    id: str
    object: Literal["prompt"] = "prompt"
    name: str
    description: str = ""
    default_version: int
    newest_version: int
    split: PromptSplit | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int
    changed_at: int


class PromptVersion(Reply):
    """One version of a prompt, which never changes; `id` is its number as text, the cursor of lists.

    `variables` are those that stand in it, `created_by` is the id of the API key that made it.
    """

    id: str
    object: Literal["prompt.version"] = "prompt.version"
    prompt: str
    version: int
    sections: PromptSections
    style: SectionStyle = "markdown"
    defaults: dict[str, str] = Field(default_factory=dict)
    variables: tuple[str, ...] = ()
    model: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    note: str = ""
    created_by: str
    created_at: int


class PromptEvidence(Reply):
    """What was measured of one version: the `mean` of `outcomes` in the objective's unit, null without any.

    `low` and `high` bound the true mean, with the tuning's confidence for all versions and all looks together. `best` is the probability
    that this version is the best of those that are not `dropped`; `dropped` says why one is.
    """

    version: int
    outcomes: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    best: float | None = None
    dropped: str | None = None


class PromptTuningState(Reply):
    """What the tuning of a split knows now and would do: `why` says it in a sentence."""

    why: str
    versions: tuple[PromptEvidence, ...] = ()


class PromptSplitState(PromptSplit):
    """The split of a prompt as it is now; `began_at` (unix seconds) is since when these versions are compared.

    `tuning` is what is known of them, null unless the split tunes itself.
    """

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": []})

    object: Literal["prompt.split"] = "prompt.split"
    prompt: str
    began_at: int
    tuning: PromptTuningState | None = None


class PromptSplitChange(Reply):
    """One change of a split: `set` by a key, `ended` by a key, or `released` when a key put one version in use for all.

    `tuned` and `promoted` are changes by the split's tuning (`by` is `tuning`), which say `why` and the `evidence`. `shares` are
    those after it, none when the split ended; `default_version` is the version in use besides.
    """

    id: str
    object: Literal["prompt.split.change"] = "prompt.split.change"
    at: int
    by: str
    action: PromptSplitAction
    shares: tuple[PromptShare, ...] = ()
    default_version: int
    why: str = ""
    evidence: tuple[PromptEvidence, ...] = ()


class PromptUse(Request):
    """Which version of a prompt is meant (without one that in use), and the values of its variables.

    `subject` is whom a split draws the version for, such as the id of a session: the same one gets the same version. Without it that
    is the request's end user (`safety_identifier`, `user`), and without one every request is drawn anew.
    """

    version: Version | None = None
    subject: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    variables: Annotated[dict[VariableName, VariableText | bool | int | float], Field(max_length=100)] = Field(
        default_factory=dict
    )


class PromptMessage(Reply):
    """One message of a rendered prompt."""

    role: Literal["system", "user"]
    content: str


class RenderedPrompt(Reply):
    """What a model would be sent."""

    object: Literal["prompt.rendered"] = "prompt.rendered"
    prompt: str
    version: int
    model: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    messages: tuple[PromptMessage, ...]


class Spread(Reply):
    """Milliseconds at the 50th and 95th percentile; null when there were none."""

    p50: float | None = None
    p95: float | None = None


class PromptVersionUsage(UsageTotals):
    """What requests with one version of a prompt came to.

    The times are those of its last `timed` answered requests, at most 1,000: `duration_ms` of whole requests, `ttft_ms` to the first
    token of streams. `cost_per_request_usd` is null when there were no requests.
    """

    version: int
    timed: int = 0
    duration_ms: Spread = Spread()
    ttft_ms: Spread = Spread()
    cost_per_request_usd: Usd | None = None
    wrong_form: int = 0
    feedback: PromptVersionFeedback | None = None


class PromptUsage(Reply):
    """The versions of a prompt side by side, newest first; versions without requests in the period are left out.

    `feedback_missing` says why nothing is known of feedback, null when it was counted.
    """

    object: Literal["prompt.usage"] = "prompt.usage"
    prompt: str
    feedback_missing: str | None = None
    data: tuple[PromptVersionUsage, ...]


LintLevel = Literal["error", "warning", "info"]
LintCode = Literal[
    "unused_default",
    "not_a_variable",
    "variable_in_system",
    "contradictory_length",
    "answer_cut_off",
    "repeated_text",
    "prompt_too_long",
    "unknown_model",
    "personal_data",
    "secret",
    "not_checked",
]


class LintFinding(Reply):
    """One thing that is wrong with a prompt, or may be; `section` is null for the whole."""

    code: LintCode
    level: LintLevel
    section: str | None = None
    message: str


class PromptLint(Reply):
    """What was found in a prompt; `ok` says that no finding is an error.

    `required` are the variables that each request has to send, `optional` those with a default. `tokens` are about those of its own
    text, at four bytes each, without the values of variables; `cost_per_1000_usd` is what they cost in a thousand requests to its
    model, null when nobody knows the model or its price.
    """

    object: Literal["prompt.lint"] = "prompt.lint"
    ok: bool
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    tokens: int
    cost_per_1000_usd: Usd | None = None
    findings: tuple[LintFinding, ...] = ()
