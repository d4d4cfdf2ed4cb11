"""The gateway's own settings."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings

_MIB = 1024 * 1024


class Settings(ServiceSettings):
    """Variables start with SLUICE_GATEWAY_."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_GATEWAY_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    port: int = Field(8080, ge=0, le=65535, description="port that the gateway listens on")
    worker_port: int = Field(
        8180, ge=0, le=65535, description="port of the usage consumer's /healthz, /readyz and /metrics"
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
    usage_linger_s: float = Field(
        0.1, ge=0, le=10, description="seconds that usage waits for company before it is shipped to Redis"
    )
    usage_batch: int = Field(
        4,
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
    usage_retention_days: int = Field(
        400, ge=0, le=36_500, description="days that usage records are kept; 0 keeps them for ever"
    )
    audit_retention_days: int = Field(
        400, ge=0, le=36_500, description="days that audit records are kept; 0 keeps them for ever"
    )
    retention_every_s: float = Field(
        3600.0, gt=0, description="seconds between looks of the worker for records that are too old"
    )
    consumer_name: str = Field(
        "", description="name of this usage consumer in its group, stable over restarts; empty takes the host name"
    )
