"""Settings of the bridge."""

from typing import ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from sluice.settings import PlatformSettings, ServiceSettings

_LEAST = 32


class BridgePlatform(PlatformSettings):
    """What the bridge shares with all services: not their secrets. The administrator comes to it through the gateway."""

    required_secrets: ClassVar[tuple[str, ...]] = ()


class Settings(ServiceSettings):
    """Variables start with SLUICE_BRIDGE_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_BRIDGE_")

    port: int = Field(8088, ge=1, le=65_535, description="port of the bridge")
    secret: SecretStr = Field(SecretStr(""), description="checks the tokens for the bridge, and nothing else")
    providers_file: str = Field("bridge.yaml", description="file in SLUICE_CONFIG_DIR that describes the providers")

    @field_validator("secret")
    @classmethod
    def _secret_is_its_own(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < _LEAST:
            raise ValueError("is too short; it is made of SLUICE_SERVICE_SECRET, as docs/reference/bridge.md shows")
        return value
