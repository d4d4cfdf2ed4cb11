"""Models, deployments, routes and policies as the router publishes them, and the answer to "which one"."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sluice.contracts.base import Reply, Request
from sluice.contracts.judging import ConfidencePolicy, JudgedMode
from sluice.contracts.questions import Modality as EvidenceKind
from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.sampling import SamplingPolicy
from sluice.contracts.targets import Targets
from sluice.contracts.transcripts import TranscriptPolicy

SNAPSHOT_KEY = "sluice:routing:snapshot"

ModelKind = Literal["chat", "embedding", "rerank", "image", "speech", "transcription"]
Modality = Literal["text", "image", "audio", "video", "file"]
Capability = Literal["tools", "json_schema", "logprobs", "reasoning"]
Prefer = Literal["least_loaded", "cheapest"]
Balance = Literal["least_loaded", "two_choices", "latency", "session", "prefix"]
StructuredMode = Literal["off", "fail", "repair"]
GuardMode = Literal["off", "observe", "enforce"]
DeploymentHealth = Literal["up", "down", "unknown"]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

# Providers whose API wants a key in a header of its own; all others take a bearer token in `authorization`.
KEY_HEADERS = {"azure": "api-key", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}


class DeploymentAuth(Reply):
    """How a deployment wants to be called; secrets never travel, only the name of the variable or file that holds one.

    `none` sends nothing, `bearer` sends the value of environment variable `env` or of `file` in the folder for secrets, `service` sends a service token
    for audience `audience` (a Sluice service that speaks the OpenAI API, such as retrieval's embeddings), `aws` signs each
    request for `region` (SigV4) with the access key, secret key and perhaps session token that `env` or `file` holds, with colons between, or with
    neither as the machine's own role.
    """

    kind: Literal["none", "bearer", "service", "aws"] = "none"
    env: str | None = None
    file: str | None = None
    audience: str | None = None
    region: str | None = None


class Deployment(Reply):
    """One place that serves a model: an OpenAI-compatible endpoint and its limits.

    `base_url` ends before `/chat/completions` (as in the `openai` client); `max_in_flight` and `timeout_s` bound
    what one gateway process sends; `tokens_per_second` is what the inference service measured, if it knows.
    `first_byte_timeout_s` bounds the wait for the first event of a stream and `idle_timeout_s` each pause inside one, `timeout_s`
    where they are None. `region` says where the data goes; a tenant that is bound to regions never reaches a deployment without one.
    `provider` names the API that is spoken there: `anthropic`, `gemini`, `bedrock` and `azure` have their own, every other
    name means OpenAI's; `llamacpp` and `vllm` are OpenAI's with these engines' own fields for structured output, `bridge` is OpenAI's at the bridge.
    `api_version` is Azure's. With `responses: native` requests to `/v1/responses` pass as they come to a server that has
    OpenAI's Responses API, instead of being turned into chat completions. `adapter` names the LoRA adapter that its engine
    has to hold, which is what `upstream_model` asks for then.
    """

    id: str
    provider: str = "openai"
    base_url: str
    upstream_model: str
    adapter: str | None = None
    region: str | None = None
    api_version: str | None = None
    responses: Literal["translated", "native"] = "translated"
    auth: DeploymentAuth = DeploymentAuth()
    weight: Annotated[float, Field(gt=0)] = 1.0
    max_in_flight: Annotated[int, Field(ge=1)] = 64
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    connect_timeout_s: Annotated[float, Field(gt=0)] = 3.0
    first_byte_timeout_s: Annotated[float, Field(gt=0)] | None = None
    idle_timeout_s: Annotated[float, Field(gt=0)] | None = None
    health: DeploymentHealth = "unknown"
    health_reason: str | None = None


class Rates(Reply):
    """US dollars per million tokens; a kind of token without a price of its own costs as `input` or `output`, `cache_write_1h` as `cache_write`."""

    input: Annotated[float, Field(ge=0)] = 0.0
    output: Annotated[float, Field(ge=0)] = 0.0
    cached_input: Annotated[float, Field(ge=0)] | None = None
    cache_write: Annotated[float, Field(ge=0)] | None = None
    cache_write_1h: Annotated[float, Field(ge=0)] | None = None
    audio_input: Annotated[float, Field(ge=0)] | None = None
    image_input: Annotated[float, Field(ge=0)] | None = None
    reasoning: Annotated[float, Field(ge=0)] | None = None
    audio_output: Annotated[float, Field(ge=0)] | None = None


class PriceTier(Rates):
    """What all tokens of a request cost whose prompt has more than `above` tokens."""

    above: Annotated[int, Field(ge=1)]


class Price(Rates):
    """The rates of a model, of long prompts (`tiers`, from the shortest up), and US dollars for each request.

    `image` is dollars for each image that is made, `characters` dollars per million characters that are spoken, `minute` dollars for each
    minute of sound that is written down. `source` says where it comes from and in which version, such as `genai-prices 0.2.3`; it stands
    in each usage record.
    """

    request: Annotated[float, Field(ge=0)] = 0.0
    image: Annotated[float, Field(ge=0)] | None = None
    characters: Annotated[float, Field(ge=0)] | None = None
    minute: Annotated[float, Field(ge=0)] | None = None
    tiers: tuple[PriceTier, ...] = ()
    source: str = "config"


class FallbacksOn(Reply):
    """Models to try instead when one failed for this reason; None leaves it to `fallbacks`, and passes a refusal on.

    `timeout`: no answer in time. `context`: the prompt is too long for the model. `content`: its content policy refused.
    """

    timeout: tuple[str, ...] | None = None
    context: tuple[str, ...] | None = None
    content: tuple[str, ...] | None = None


class Model(Reply):
    """A model that callers can name; lengths are tokens.

    What describes it (`version` to `capabilities`) is as its operator says. `input_modalities` and `capabilities` None
    means that nobody said: such a model is asked for anything, while one that lists them is asked for those only.
    A request without an answer after `hedge_after_ms` is sent to a second deployment as well.
    `parameters_b` is its size in billions of parameters. `token_scale` says by language how many times the usual estimate (a token for four bytes) its tokenizer
    makes of a text. `price` None means that nobody knows what it costs. `balance` says how
    one of its deployments is chosen.
    """

    name: str
    kind: ModelKind = "chat"
    owned_by: str = "sluice"
    created: int = 0
    context_tokens: Annotated[int, Field(ge=1)] = 8192
    max_output_tokens: int | None = None
    embedding_dimensions: int | None = None
    price: Price | None = Price()
    version: str | None = None
    architecture: str | None = None
    parameters_b: Annotated[float, Field(gt=0)] | None = None
    licence: str | None = None
    domains: tuple[str, ...] = ()
    token_scale: dict[str, float] = {}
    input_modalities: tuple[Modality, ...] | None = None
    output_modalities: tuple[Modality, ...] | None = None
    capabilities: tuple[Capability, ...] | None = None
    policy: str | None = None
    fallbacks: tuple[str, ...] = ()
    fallbacks_on: FallbacksOn = FallbacksOn()
    balance: Balance = "least_loaded"
    hedge_after_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    deployments: tuple[Deployment, ...]


class SemanticTuning(Reply):
    """Lets the threshold of a semantic cache follow what is seen, between `least` and `most`.

    `share` of the questions that have a kept answer in other words, at `least` or nearer, are answered by the model all the same, and both answers compared:
    they agree when they name the same numbers and the cosine of their embeddings is at least `agreement`. The threshold becomes the lowest at which at most
    `max_error` of the answers from the cache are wrong, as far as is known.
    """

    least: Annotated[float, Field(ge=0.8, le=1)] = 0.85
    most: Annotated[float, Field(ge=0.8, le=1)] = 0.99
    max_error: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    agreement: Annotated[float, Field(ge=0, le=1)] = 0.8


class SemanticCache(Reply):
    """Kept answers also for questions that ask for the same in other words.

    `use` says whether every request that may use the cache is answered so, or only one that asks for it with
    `x-sluice-cache: semantic`. The cosine of both questions' embeddings must reach `threshold`, and their words must agree
    (`sluice_gateway.domain.questions`). An answer older than `ttl_s` seconds is given to equal requests only. With `tune` the threshold is where it begins.
    """

    use: Literal["always", "on_request"] = "always"
    threshold: Annotated[float, Field(ge=0.8, le=1)] = 0.95
    ttl_s: Annotated[int, Field(ge=1, le=604_800)] = 43_200
    tune: SemanticTuning | None = None


class CachePolicy(Reply):
    """Answers that are kept, and given again to requests that ask for the same.

    `use` says whether every request may be answered so or only one that asks for it with `x-sluice-cache: on`. `scope` says
    who shares an answer: the keys of a tenant, of a team, or one key alone. Answers that are drawn by chance (a temperature
    above 0) are kept only with `any_temperature` or when a request asks for it, answers that call tools only with `tool_calls`. `semantic` adds questions in other words.
    Results of functions that are computed and not written (rankings) are kept for `functions_ttl_s` at most.
    """

    use: Literal["always", "on_request"] = "always"
    ttl_s: Annotated[int, Field(ge=1, le=604_800)] = 86_400
    scope: Literal["tenant", "team", "key"] = "tenant"
    any_temperature: bool = False
    tool_calls: bool = False
    semantic: SemanticCache | None = None
    functions_ttl_s: Annotated[int, Field(ge=1, le=604_800)] = 21_600


class AttemptPolicy(Reply):
    """How long one attempt may take, how many there are, and when a second deployment is asked as well.

    `timeout_s` bounds a whole answer, `first_byte_timeout_s` the wait for the first event of a stream, `idle_timeout_s` each pause inside
    one: each shortens what the deployment allows. `max_attempts` counts all calls to deployments, `retries` the rounds after the first
    one (None: as the gateway is set). A second deployment is asked after `hedge_after_ms`, or after the time in which `hedge_percentile` per
    cent of the deployment's latest requests were answered; of both, the shorter.
    """

    timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    first_byte_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    idle_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=8)] = 8
    retries: Annotated[int, Field(ge=0, le=10)] | None = None
    hedge_after_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    hedge_percentile: Annotated[float, Field(ge=50, le=99.9)] | None = None


class Policy(Reply):
    """What happens to a request besides being answered.

    `on_guard_error` says what a guardrail that cannot be reached means: `closed` refuses the request (default),
    `open` lets it pass. With guards `off` and no retrieval a request makes no hop but the upstream.
    `groundedness` holds an answer against what retrieval found for it: a sentence that nothing supports is reported (`flag`), or the answer is replaced
    by a refusal (`refuse`, which holds streams until they are judged). `second_opinion` does the same with what the guardrail's judging model says of it.
    `deadline_s` bounds all attempts together for requests that bring no deadline of their own. `structured_output` says what an answer means that has
    not the form which the request demands (a schema, a regular expression, a tool's arguments): an error (`fail`), one more try of the model (`repair`,
    which holds streams until they are known to be right), or nothing (`off`). `transcripts` keep what was asked and answered. Without `keep_responses` none of /v1/responses is kept.
    """

    name: str
    guard_input: GuardMode = "off"
    guard_output: GuardMode = "off"
    guard_policy: str = "default"
    on_guard_error: Literal["closed", "open"] = "closed"
    groundedness: JudgedMode = "off"
    second_opinion: JudgedMode = "off"
    confidence: ConfidencePolicy | None = None
    retrieval: RetrievalPolicy | None = None
    cache: CachePolicy | None = None
    deadline_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    structured_output: StructuredMode = "fail"
    sampling: SamplingPolicy | None = None
    attempts: AttemptPolicy | None = None
    transcripts: TranscriptPolicy | None = None
    keep_responses: bool = True


class Share(Reply):
    """The share of a route's callers that goes to one candidate: its weight out of the sum of all weights."""

    model: str
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Rule(Reply):
    """Requests of which all that is named here is true go to the models of `use` first; the route's candidates answer when those cannot.

    `intents`, `domains` and `languages` (ISO 639-1) name classes of which the request has to have one; `longer_than` counts tokens
    of the prompt, `modalities` are what it holds besides text, `asks_for` what its question asks for.
    """

    intents: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    modalities: tuple[Modality, ...] = ()
    asks_for: tuple[EvidenceKind, ...] = ()
    longer_than: Annotated[int, Field(ge=0)] | None = None
    use: Annotated[tuple[str, ...], Field(min_length=1)]


class Quality(Reply):
    """Which of a route's candidates are the stronger ones, and the share of requests that they get: those that gain most by it.

    The gain is what the trained classifier `difficulty` predicts; without it the candidates are chosen among as if this was not set.
    """

    strong: Annotated[tuple[str, ...], Field(min_length=1)]
    share: Annotated[float, Field(ge=0, le=1)]


class Route(Reply):
    """A virtual model: the router picks one of `candidates`; `fallbacks` are tried in order when that one fails.

    `prefer` says by what it picks. With a `split` each caller is assigned one candidate, always the same one, by weight:
    a canary or an A/B test. The first of `rules` that fits the request comes before all of that. With `quality` the stronger candidates
    get the requests that gain most by them, with `by_domain` those come first whose `domains` name the request's, and
    with `by_modality` those with images for a question that asks for a picture. `targets` bound what an answer should cost and take.

    `when_all_down` says what the router does when no deployment is healthy: `try` names one all the same, as a last
    resort, `refuse` answers 503.
    """

    name: str
    candidates: tuple[str, ...]
    fallbacks: tuple[str, ...] = ()
    fallbacks_on: FallbacksOn = FallbacksOn()
    policy: str | None = None
    prefer: Prefer = "least_loaded"
    split: tuple[Share, ...] = ()
    rules: tuple[Rule, ...] = ()
    quality: Quality | None = None
    by_domain: bool = False
    by_modality: bool = False
    targets: Targets | None = None
    when_all_down: Literal["try", "refuse"] = "try"


class Alias(Reply):
    """Another name by which callers reach a model or a route."""

    name: str
    model: str


class RoutingSnapshot(Reply):
    """All that the data plane needs to route without asking; `version` grows with each publication."""

    version: int
    published_at: float
    models: tuple[Model, ...]
    routes: tuple[Route, ...] = ()
    policies: tuple[Policy, ...] = ()
    aliases: tuple[Alias, ...] = ()


class RouteRequest(Request):
    """Which model shall answer; `model` is a route's name or a model's, `text` the last user message (may be cut).

    `modalities` and `capabilities` are what the request needs, `regions` where its data may go (None: anywhere), and
    `subject` stands for the caller in a split: the same subject gets the same model; without one each request falls anew.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(max_length=20_000)] = ""
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    modalities: Annotated[tuple[Modality, ...], Field(max_length=5)] = ()
    capabilities: Annotated[tuple[Capability, ...], Field(max_length=4)] = ()
    regions: Annotated[tuple[Region, ...], Field(max_length=100)] | None = None
    subject: Annotated[str, Field(max_length=200)] = ""
    explain: bool = False


SignalName = Literal[
    "residency",
    "modality",
    "capability",
    "context",
    "health",
    "load",
    "cost",
    "latency",
    "intent",
    "domain",
    "language",
    "length",
    "asks_for",
    "difficulty",
]


class SignalValue(Reply):
    """What one signal said of a deployment; `against` is true when that spoke against taking it."""

    signal: SignalName
    value: str
    against: bool = False


class RouteCandidate(Reply):
    """One deployment that was looked at, why it was or was not taken, and what every signal said of it."""

    model: str
    deployment: str
    chosen: bool
    reason: str
    signals: tuple[SignalValue, ...] = ()


class RouteDecision(Reply):
    """The handbook's route result (F278): model, instance, intent, confidence; plus what to try next.

    `intent` and `confidence` are null where the route has no rules, or the classifier gave no answer; an intent is named only when
    it was recognised. `signals` are those of the request, which all candidates share.
    """

    model: str
    instance: str
    intent: str | None = None
    confidence: float | None = None
    route: str | None = None
    reason: str
    fallbacks: tuple[str, ...] = ()
    policy: str | None = None
    snapshot_version: int
    candidates: tuple[RouteCandidate, ...] | None = None
    signals: tuple[SignalValue, ...] | None = None
