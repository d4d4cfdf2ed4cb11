"""Settings of the router service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_ROUTER_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_ROUTER_")

    port: int = Field(8081, ge=1, le=65535, description="port of the REST API")
    probe_interval_s: float = Field(5.0, gt=0, le=300, description="seconds between two probes of a deployment")
    reload_s: float = Field(2.0, gt=0, le=3600, description="seconds between two looks at models.yaml")
    publish_s: float = Field(2.0, gt=0, le=5, description="seconds between two looks at the published snapshot")
    intent_timeout_s: float = Field(
        1.0, gt=0, le=60, description="longest wait for the embedding of a text whose intent is asked for"
    )
    intent_confidence: float = Field(0.5, ge=0, le=1, description="least confidence with which an intent counts")
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="hosts that deployments made through the API may use although they are not public, as a JSON array",
    )
    offers_s: float = Field(
        300.0,
        ge=10,
        le=86_400,
        description="seconds between two questions to a provider which models it offers (`openai/*`)",
    )
    loads_s: float = Field(
        1.0,
        gt=0,
        le=300,
        description="seconds between two questions to the inference service; five times as many while nothing is going on",
    )
