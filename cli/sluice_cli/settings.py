"""What the command line reads from the environment and from the platform's own secrets file."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sluice.settings import services_in


class CliSettings(BaseSettings):
    """Settings of the `sluice` command; variables start with SLUICE_."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    home: Path = Field(Path(".sluice"), description="folder for data, logs, records and secrets of `sluice up`")
    port_base: int = Field(
        8080,
        ge=1024,
        le=65000,
        description="the gateway's port; the other parts follow it; unset means where the platform of this home runs",
    )
    services: str = Field(
        "", description="services that run, such as `guardrail,retrieval`, beside gateway and router; empty means all"
    )
    redis_url: str = Field("", description="a Redis to use in place of the embedded Valkey")
    bridge: bool = Field(
        default=False, description="whether `sluice up` starts the bridge too (`make bridge` installs it)"
    )
    bridge_python: Path = Field(Path(".venv-bridge/bin/python"), description="the Python that has the bridge")
    start_timeout_s: float = Field(120.0, gt=0, description="how long `sluice up` waits for all parts to be ready")

    @field_validator("services")
    @classmethod
    def _services_are_known(cls, value: str) -> str:
        services_in(value)
        return value

    url: str = Field("", description="the gateway to talk to; empty means the one that `sluice up` started")
    api_key: SecretStr = Field(SecretStr(""), description="the API key to talk with; empty means the quick-start key")
    admin_key: SecretStr = Field(
        SecretStr(""), description="the administrator's key; empty means the one in the secrets file"
    )
