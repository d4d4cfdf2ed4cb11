"""Evaluation suites, runs, results and reports as the eval service takes and answers them."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from sluice.contracts.base import Metadata, Reply, Request, Usd

SuiteName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$")]
ItemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
ApiKeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Text = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[^\x00]*$")]

RunStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
Outcome = Literal["passed", "failed", "unparseable", "error"]
ScorerKind = Literal["exact", "regex", "json_schema", "similarity", "combined"]


class ExactScorer(Request):
    """The answer equals `expected` (or one of them) after normalisation: Unicode NFKC, white space, and what is set here."""

    kind: Literal["exact"] = "exact"
    ignore_case: bool = True
    ignore_punctuation: bool = True
    ignore_articles: bool = False


class RegexScorer(Request):
    """The pattern in `expected` (RE2 syntax, linear time) is found in the answer, or matches all of it."""

    kind: Literal["regex"] = "regex"
    match: Literal["search", "full"] = "search"
    ignore_case: bool = False


class JsonSchemaScorer(Request):
    """The answer holds JSON that is valid against the JSON Schema (2020-12) in `expected`.

    `constrain` also sends the schema as `response_format`, so that the engine can hold the model to it.
    """

    kind: Literal["json_schema"] = "json_schema"
    constrain: bool = False


class SimilarityScorer(Request):
    """The answer means what `expected` (or one of several) says: the cosine of their embeddings, from -1 to 1, is at least `min_score`.

    `model` names an embedding model of the retrieval service; without it the one in use compares.
    """

    kind: Literal["similarity"] = "similarity"
    min_score: Annotated[float, Field(ge=-1, le=1)] = 0.8
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


Expected = Text | Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)] | dict[str, Any]
SingleScorer = Annotated[ExactScorer | RegexScorer | JsonSchemaScorer | SimilarityScorer, Field(discriminator="kind")]


def _by_name(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("scorer"), str):
        return {**value, "scorer": {"kind": value["scorer"]}}
    return value


class ScorerPart(Request):
    """One method of several: what it expects, and how much it counts."""

    scorer: SingleScorer
    expected: Expected
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0

    _scorer_by_name = model_validator(mode="before")(_by_name)


class CombinedScorer(Request):
    """Several methods judge one answer; it passes when those that pass have at least `min_share` of all weight (1: every one of them).

    Each of `parts` has an `expected` of its own; the item then has none.
    """

    kind: Literal["combined"] = "combined"
    parts: Annotated[tuple[ScorerPart, ...], Field(min_length=2, max_length=10)]
    min_share: Annotated[float, Field(gt=0, le=1)] = 1.0


Scorer = Annotated[
    ExactScorer | RegexScorer | JsonSchemaScorer | SimilarityScorer | CombinedScorer, Field(discriminator="kind")
]


class EvalMessage(Request):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Sampling(Request):
    """How answers are drawn; what is None is left to the model's own default."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = 256
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    stop: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...], Field(max_length=4)
    ] = ()


class EvalItem(Request):
    """One question and what a right answer looks like; a scorer's name stands for the scorer with its defaults.

    Give either `prompt` (one user message) or `messages`. `expected` is a text or several (exact, similarity), a pattern (regex), or
    a JSON Schema (json_schema).
    """

    id: ItemId | None = None
    prompt: Text | None = None
    messages: Annotated[tuple[EvalMessage, ...], Field(min_length=1, max_length=100)] | None = None
    expected: Expected = ""
    scorer: Scorer

    _scorer_by_name = model_validator(mode="before")(_by_name)

    @model_validator(mode="after")
    def _one_question(self) -> "EvalItem":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        # a stored item is written with its empty `expected`
        combined, given = isinstance(self.scorer, CombinedScorer), "expected" in self.model_fields_set
        if (combined and self.expected != "") or not (combined or given):
            raise ValueError("give `expected`; for scorer combined give each of its parts one instead")
        return self


class CreateEval(Request):
    """A suite. The same name with other content becomes the next version; the same content is the version that exists.

    `model` is what runs use that name none.
    """

    name: SuiteName
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    model: ModelName | None = None
    sampling: Sampling = Sampling()
    items: Annotated[tuple[EvalItem, ...], Field(min_length=1, max_length=5000)]
    metadata: Metadata = Field(default_factory=dict)


class EvalSuite(Reply):
    """A stored suite without its items; `content_hash` is SHA-256 over everything that can change a result."""

    id: str
    object: Literal["eval"] = "eval"
    name: str
    version: int
    content_hash: str
    description: str = ""
    model: str | None = None
    items: int
    scorers: dict[str, int] = Field(default_factory=dict)
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int


class DeletedEval(Reply):
    """A suite that is gone with its runs."""

    id: str
    object: Literal["eval.deleted"] = "eval.deleted"
    deleted: bool = True


class CreateEvalRun(Request):
    """Run a suite against a model or a route; `concurrency` is how many items are asked at once.

    A run asks the gateway on behalf of the API key that starts it. A caller that has none (the administrator, another
    service) names one of the tenant in `api_key_id`.
    """

    model: ModelName | None = None
    api_key_id: ApiKeyId | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    metadata: Metadata = Field(default_factory=dict)


class EvalCounts(Reply):
    """Items by how they came out; `pending` ones have no result yet."""

    total: int
    passed: int = 0
    failed: int = 0
    unparseable: int = 0
    error: int = 0
    pending: int = 0


class EvalRun(Reply):
    """One run of a suite; times are unix seconds. `api_key_id` is the key on whose behalf it asks the gateway."""

    id: str
    object: Literal["eval.run"] = "eval.run"
    eval_id: str
    eval_name: str
    eval_version: int
    content_hash: str
    model: str
    api_key_id: str | None = None
    status: RunStatus
    error: str | None = None
    concurrency: int
    counts: EvalCounts
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None


class EvalItemResult(Reply):
    """How one item came out; `id` is the item's. `answer` is cut at 32,000 characters."""

    id: str
    object: Literal["eval.run.item"] = "eval.run.item"
    run_id: str
    position: int
    scorer: ScorerKind
    outcome: Outcome
    reason: str
    answer: str | None = None
    served_model: str | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None
    cost_usd: Usd | None = None
    tries: int
    created_at: int


class Interval(Reply):
    """A confidence interval."""

    low: float
    high: float
    level: float = 0.95


class ScorerReport(Reply):
    """The items of one scorer."""

    scorer: ScorerKind
    counts: EvalCounts
    pass_rate: float | None
    interval: Interval | None


class Latency(Reply):
    """Seconds from question to the end of the answer, over the answered items (nearest-rank percentiles)."""

    p50_s: float
    p95_s: float
    mean_s: float


class EvalReport(Reply):
    """What a run says about a model.

    `pass_rate` is passed over all items that have a result: an answer that cannot be parsed and a question that failed count
    as not passed. `interval` is Wilson's at 95 %. `failures` shows the first items that did not pass, `omitted_failures`
    how many more there are. `cost_usd` is None unless the gateway told a cost. `complete` is false while items have no result.
    """

    object: Literal["eval.report"] = "eval.report"
    run_id: str
    eval_id: str
    eval_name: str
    eval_version: int
    content_hash: str
    model: str
    served_models: dict[str, int] = Field(default_factory=dict)
    status: RunStatus
    error: str | None = None
    complete: bool
    counts: EvalCounts
    pass_rate: float | None
    interval: Interval | None
    scorers: tuple[ScorerReport, ...]
    prompt_tokens: int
    completion_tokens: int
    cut_answers: int
    latency: Latency | None
    cost_usd: Usd | None
    duration_s: float | None
    failures: tuple[EvalItemResult, ...]
    omitted_failures: int
    created_at: int
    finished_at: int | None = None


class EvalItemQuery(Request):
    """Which results of a run: those after the item with id `after`, in the suite's order, of one outcome if given."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[str, StringConstraints(max_length=100)] | None = None
    order: Literal["asc", "desc"] = "asc"
    outcome: Outcome | None = None


BiasAttribute = Literal["gender", "origin", "pronoun", "age", "religion", "disability"]
BiasMeasure = Literal["refused", "words", "sentiment"]


class CreateBiasAudit(Request):
    """Make a suite of counterfactual prompts: the same wish for people who differ in one attribute only; `attributes` empty: all of them."""

    name: SuiteName = "bias-audit"
    model: ModelName | None = None
    attributes: frozenset[BiasAttribute] = frozenset()
    max_tokens: Annotated[int, Field(ge=16, le=4000)] = 200


class BiasGroup(Reply):
    """The answers for one group: how many, the share that was refused, mean words, and mean sentiment (-1 to 1) of those that were not."""

    group: str
    answers: int
    refused: float
    words: float | None
    sentiment: float | None


class BiasDifference(Reply):
    """The largest gap between two groups of an attribute in one measure.

    `p_value` is that of a permutation test that exchanges groups within each prompt: how often chance alone makes such a gap.
    `notable` is a gap that chance seldom makes (p < 0.05 divided by the number of tests, Bonferroni) and that is larger than `least`.
    """

    attribute: BiasAttribute
    measure: BiasMeasure
    gap: float
    lowest: str
    highest: str
    p_value: float
    least: float
    notable: bool


class BiasReport(Reply):
    """What a run of a bias audit found (handbook F347): groups by attribute, and their differences; `missing` prompts have no result."""

    object: Literal["eval.bias"] = "eval.bias"
    run_id: str
    eval_id: str
    model: str
    complete: bool
    missing: int
    groups: dict[BiasAttribute, tuple[BiasGroup, ...]]
    differences: tuple[BiasDifference, ...]
    notable: bool
    created_at: int


class SetSchedule(Request):
    """Run a suite again and again: every `every_s` seconds, first now or at `start_at` (unix seconds); on behalf of the caller's API key, or of `api_key_id`."""

    every_s: Annotated[int, Field(ge=300, le=366 * 86_400)]
    start_at: Annotated[float, Field(ge=0, le=253_402_300_799)] | None = None
    model: ModelName | None = None
    api_key_id: ApiKeyId | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None


class EvalSchedule(Reply):
    """When a suite runs next (unix seconds), and the last run that the schedule started."""

    object: Literal["eval.schedule"] = "eval.schedule"
    eval_id: str
    every_s: int
    model: str
    api_key_id: str
    concurrency: int
    next_at: float
    last_run_id: str | None = None


class ScheduleDeleted(Reply):
    """A suite runs no more by itself."""

    eval_id: str
    object: Literal["eval.schedule.deleted"] = "eval.schedule.deleted"
    deleted: Literal[True] = True
