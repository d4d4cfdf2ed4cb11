"""API keys as the gateway's admin API takes and answers them."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sluice.contracts.base import Metadata, Reply, Request

Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
UnixTime = Annotated[int, Field(ge=0, le=253_402_300_799)]
KeyStatus = Literal["active", "expired", "revoked"]


class CreateApiKey(Request):
    """A new key; `models` None allows every model, `expires_at` (unix seconds) None never expires.

    `policy` names a policy of the routing snapshot that applies to each request of this key, whatever the model's own.
    """

    name: KeyName
    tenant: Tenant = "default"
    models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=100)] | None = None
    policy: ModelName | None = None
    expires_at: UnixTime | None = None
    metadata: Metadata = Field(default_factory=dict)


class UpdateApiKey(Request):
    """What to change of a key; a field that is absent stays, null takes a limit away."""

    name: KeyName | None = None
    models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=100)] | None = None
    policy: ModelName | None = None
    expires_at: UnixTime | None = None
    metadata: Metadata | None = None


class ApiKey(Reply):
    """A key without its secret; `prefix` is how it begins, so that people can tell keys apart."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    tenant: str
    prefix: str
    status: KeyStatus
    models: tuple[str, ...] | None = None
    policy: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None


class CreatedApiKey(ApiKey):
    """A key that was just made; `key` is shown this once and cannot be read again."""

    key: str
