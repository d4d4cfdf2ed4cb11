"""The gateway's own settings."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from sluice.contracts.gateway import UserType
from sluice.settings import ServiceSettings

_MIB = 1024 * 1024


class Settings(ServiceSettings):
    """Variables start with SLUICE_GATEWAY_."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_GATEWAY_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )
    required_secrets: ClassVar[tuple[str, ...]] = ("key_pepper",)

    port: int = Field(8080, ge=0, le=65535, description="port that the gateway listens on")
    worker_port: int = Field(8180, ge=0, le=65535, description="port of the worker's /healthz, /readyz and /metrics")
    worker_concurrency: int = Field(4, ge=1, le=64, description="batches that one worker has in hand at once")
    worker_niceness: int = Field(
        5, ge=0, le=19, description="how far the worker stands behind other processes while processors are short (nice)"
    )
    key_pepper: SecretStr = Field(
        SecretStr(""),
        description="secret under which API keys are stored as digests; changing it makes all keys unknown; required in production",
    )
    keys_reload_s: float = Field(
        30.0, gt=0, description="seconds between looks for key changes that no message told of"
    )
    snapshot_reload_s: float = Field(
        30.0, gt=0, description="seconds between looks for a routing snapshot that no message told of"
    )
    max_body_bytes: int = Field(10 * _MIB, ge=1024, description="longest request body, in bytes")
    max_upload_bytes: int = Field(
        512 * _MIB, ge=1024, description="longest multipart upload that is passed on, in bytes"
    )
    client_patience_s: float = Field(
        60.0,
        gt=0,
        description="seconds after which a client is left that sends no more of its request, or takes nothing of its answer; a body may take longer that comes with 1 KiB a second or more",
    )
    given_up_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="seconds for which a whole answer that nobody waits for any more is still read, since its provider charges for it and "
        "its tokens are told at its end; 0 closes it at once and charges what it can have come to",
    )
    given_up_answers: int = Field(
        100, ge=0, le=100_000, description="such answers of one process at once; more are closed at once and charged so"
    )
    trace_ratio_direct: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of requests traced among those that go straight to a model, unless the caller decided",
    )
    private_links: bool = Field(
        default=False, description="whether requests may have a model's server fetch links into private networks"
    )
    link_hosts: tuple[str, ...] = Field(
        (), description="hosts whose links are fetched although their addresses are private, as a JSON array"
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        description='origins of pages whose scripts may call from a browser, such as https://app.example.com, as a JSON array; ["*"] is all',
    )
    user_types: tuple[UserType, ...] = Field(
        (),
        max_length=50,
        description="kinds of users that keys and requests may name, such as free and pro, as a JSON array: usage and metrics tell them apart",
    )
    forward_timeout_s: float = Field(
        120.0, gt=0, description="longest time that a service behind the gateway may take, in seconds"
    )
    journal_segment_bytes: int = Field(
        8 * _MIB, ge=4096, description="size at which the usage journal begins a new file"
    )
    journal_max_bytes: int = Field(
        1024 * _MIB,
        ge=65536,
        description="usage that may wait on disk; at nine tenths of it the gateway refuses new requests",
    )
    huge_pages: bool = Field(
        default=True,
        description="put what the gateway has loaded into huge pages, where Linux leaves that to each process: less processor "
        "time a request for some MiB of memory",
    )
    usage_linger_s: float = Field(
        0.25, ge=0, le=10, description="seconds that usage waits for company before it is shipped to Redis"
    )
    usage_gather_s: float = Field(
        0.2, ge=0, le=10, description="seconds that the first entry of usage waits for others before it is written"
    )
    usage_batch: int = Field(
        16,
        ge=1,
        le=1000,
        description="entries of the usage stream that the consumer writes in one transaction; an entry has up to 128 KiB of records",
    )
    limits_queue: int = Field(
        100,
        ge=0,
        le=100_000,
        description="requests that may wait, per limit of concurrent requests, for another to end",
    )
    limits_queue_wait_s: float = Field(
        10.0, ge=0, le=3600, description="longest wait of such a request, in seconds, before it is refused with 429"
    )
    retries: int = Field(
        2,
        ge=0,
        le=5,
        description="how often a request is sent again after every deployment that may answer it has failed",
    )
    retry_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="retries of a model that one process may make, as a share of the model's requests in the last ten seconds; ten are always allowed",
    )
    limits_grace_s: float = Field(
        1.0,
        ge=0.6,
        le=60,
        description="seconds after a start of Redis in which it grants nothing of limits, so that all gateways can tell what they hold",
    )
    limits_dead_after_s: float = Field(
        5.0,
        ge=2,
        le=3600,
        description="seconds without a sign of life after which other gateways may have the concurrent requests of a gateway",
    )
    unpriced_models: Literal["refuse", "allow"] = Field(
        "refuse",
        description="what happens when a key with a budget asks for a model of which nobody knows the price: refuse (403), or allow, "
        "and then the budget does not count it",
    )
    cache_memory_bytes: int = Field(
        64 * _MIB, ge=0, description="memory for kept answers in each gateway process, in bytes; 0 keeps none in memory"
    )
    cache_database_bytes: int = Field(
        256 * _MIB,
        ge=0,
        description="size of kept answers in the database, in bytes; the oldest go beyond it; 0 keeps none there",
    )
    cache_embedding_model: str = Field(
        "minilm",
        min_length=1,
        description="embedding model of the retrieval service by which questions in other words are compared",
    )
    cache_semantic_patience_s: float = Field(
        0.25,
        gt=0,
        le=10,
        description="longest time that a look for a question in other words may take, in seconds; then the model is asked",
    )
    usage_retention_days: int = Field(
        400,
        ge=0,
        le=36_500,
        description="days that usage records are kept, and at least until the month ends, since its budgets are counted from them; 0 keeps them for ever",
    )
    audit_retention_days: int = Field(
        400, ge=0, le=36_500, description="days that audit records are kept; 0 keeps them for ever"
    )
    retention_every_s: float = Field(
        3600.0, gt=0, description="seconds between looks of the worker for records that are too old"
    )
    responses_keep_days: int = Field(
        30,
        ge=0,
        le=3650,
        description="days that responses of /v1/responses are kept after their conversation went on last, unless a request says `store: false`; 0 keeps none",
    )
    responses_max_bytes: int = Field(
        4 * _MIB,
        ge=1024,
        le=64 * _MIB,
        description="size of the longest response that is kept, with its input, in bytes; a longer one is answered and not kept",
    )
    background_unfinished: int = Field(
        100,
        ge=1,
        le=100_000,
        description="responses in the background (`background: true`) of a tenant that may have no answer yet; more are 429",
    )
    background_wait_s: float = Field(
        86_400.0,
        gt=0,
        le=7 * 86_400,
        description="seconds that one may wait for room, or for a worker, before it fails",
    )
    background_timeout_s: float = Field(
        3600.0, gt=0, le=3600, description="longest time for the answer of one, in seconds"
    )
    background_lanes: int = Field(
        32,
        ge=1,
        le=1000,
        description="of these, how many one worker asks for at once, at most half of them for one tenant",
    )
    background_look_s: float = Field(
        0.5, gt=0, le=60, description="seconds between looks of the worker for those that wait or were cancelled"
    )
    background_stream_s: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="longest time that one connection may wait for the events of one, in seconds; a client goes on with `starting_after`",
    )
    budget_webhook_url: SecretStr = Field(
        SecretStr(""),
        description="http(s) address that the worker tells of budgets that are nearly used up; empty tells nobody",
    )
    budget_webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="secret by which what is sent there is signed (x-sluice-signature); empty signs nothing",
    )
    budget_alert_shares: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (0.8, 1.0),
        min_length=1,
        max_length=10,
        description="shares of a budget at which it is told of, as a JSON array",
    )
    budget_look_s: float = Field(
        60.0, ge=0.1, le=86_400, description="seconds between looks of the worker at the budgets"
    )
    prompt_tuning_look_s: float = Field(
        60.0,
        ge=0.1,
        le=86_400,
        description="seconds between looks of the worker at splits of prompts that tune themselves",
    )
    files_url: str = Field(
        "",
        description="where files' content lies: a folder that gateways and workers share, or s3://bucket/prefix; "
        "empty takes gateway/files in the data folder",
    )
    files_s3_endpoint: str = Field("", description="endpoint of an S3-compatible store; empty is Amazon's")
    files_s3_region: str = Field("", description="region of the bucket; empty takes AWS_REGION")
    files_s3_access_key_id: str = Field(
        "", description="access key of the bucket; empty takes what the machine has (AWS_… variables, a role)"
    )
    files_s3_secret_access_key: SecretStr = Field(SecretStr(""), description="secret of the access key")
    max_file_bytes: int = Field(512 * _MIB, ge=1024, description="longest file that may be uploaded, in bytes")
    tenant_file_bytes: int = Field(
        100 * 1024 * _MIB,
        ge=0,
        description="bytes that all files of an organisation may have together (uploads, and answers of batches), unless its limits say otherwise",
    )
    tenant_unfinished_batches: int = Field(
        1000,
        ge=0,
        description="batches of an organisation that may have no end yet, unless its limits say otherwise; more are 429",
    )
    batch_keep_s: int = Field(
        30 * 86_400,
        ge=3600,
        description="seconds for which a batch's input and output files are kept, unless it says so",
    )
    batch_max_bytes: int = Field(200 * _MIB, ge=1024, description="longest input of a batch, in bytes")
    batch_max_requests: int = Field(50_000, ge=1, description="requests that one batch may have")
    batch_lanes: int = Field(8, ge=1, le=1000, description="requests of one batch that are asked at once, at most")
    batch_lanes_in_all: int = Field(
        16, ge=1, le=10_000, description="requests of all batches that one worker asks at once, at most"
    )
    batch_busy_share: float = Field(
        0.8,
        gt=0,
        description="share of a model's capacity in use from which on batches wait, so that people find room; 2 never waits",
    )
    batch_request_timeout_s: float = Field(
        600.0, gt=0, description="longest time for one request of a batch, in seconds"
    )
    batch_max_tries: int = Field(
        4,
        ge=1,
        le=20,
        description="how often a request of a batch is asked that breaks; one that finds no room always waits",
    )
    batch_first_pause_s: float = Field(
        1.0, gt=0, le=60, description="seconds before a broken request is asked again; they double"
    )
    batch_grace_s: float = Field(
        10.0,
        ge=0,
        le=600,
        description="seconds for requests under way when a batch is cancelled or the worker is stopped",
    )
    batch_turn_s: float = Field(
        60.0, gt=0, description="seconds after which a worker gives a batch back when others wait for their turn"
    )
    batch_lease_s: float = Field(
        12.0, gt=0, le=600, description="a worker that is silent for so long has lost its batch"
    )
    batch_sweep_s: float = Field(2.0, gt=0, le=600, description="seconds between two sweeps for batches that wait")
    batch_resend_s: float = Field(30.0, gt=0, description="a waiting batch is sent to the workers again after so long")
    consumer_name: str = Field(
        "", description="name of this usage consumer in its group, stable over restarts; empty takes the host name"
    )

    @field_validator("budget_webhook_url")
    @classmethod
    def _is_an_address(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url
