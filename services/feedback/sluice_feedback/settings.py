"""Settings of the feedback service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_FEEDBACK_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_FEEDBACK_")

    port: int = Field(8087, ge=1, le=65535, description="port of the REST API")
    outbox_poll_s: float = Field(5.0, gt=0, le=300, description="seconds between two looks for unpublished events")
    outbox_batch: int = Field(200, ge=1, le=10_000, description="events published at once")
    interactions_keep_days: float = Field(90.0, gt=0, le=3650, description="how long known interactions are kept")
