"""Settings of the bridge."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_BRIDGE_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_BRIDGE_")

    port: int = Field(8088, ge=1, le=65_535, description="port of the bridge")
    providers_file: str = Field("bridge.yaml", description="file in SLUICE_CONFIG_DIR that describes the providers")
