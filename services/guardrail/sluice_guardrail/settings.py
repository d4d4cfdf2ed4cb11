"""Settings of the guardrail service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_GUARDRAIL_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_GUARDRAIL_")

    port: int = Field(8082, ge=1, le=65535, description="port of the REST API")
    reload_s: float = Field(2.0, gt=0, le=3600, description="seconds between two looks at guard.yaml")
    max_characters: int = Field(2_000_000, ge=1, description="characters of all segments of one request together")
    max_check_s: float = Field(5.0, gt=0, description="seconds that one check may take before it is given up")
    thread_characters: int = Field(
        16_000, ge=0, description="longer requests are checked in a thread, so that short ones need not wait"
    )
    vault_ttl_s: int = Field(900, ge=1, le=86_400, description="seconds that a vault of POST /redact can be opened")
    max_dry_run_s: float = Field(30.0, gt=0, description="seconds that the dry run of a policy may take")
