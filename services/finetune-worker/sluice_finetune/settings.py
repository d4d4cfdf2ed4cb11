"""Settings of the finetune-worker."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_FINETUNE_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_FINETUNE_")

    port: int = Field(8085, ge=1, le=65535, description="port of the REST API")
    worker_port: int = Field(8185, ge=1, le=65535, description="port of the worker's health and metrics")
    worker_concurrency: int = Field(2, ge=1, le=64, description="jobs that one worker process runs at once")
    max_file_bytes: int = Field(512 * 1024 * 1024, ge=1, description="largest training file")
    max_line_bytes: int = Field(1024 * 1024, ge=100, description="longest line of a training file")
    copy_timeout_s: float = Field(
        300.0, gt=0, description="longest time for copying a training file from the gateway, in seconds"
    )
    guard_timeout_s: float = Field(
        10.0, gt=0, le=300, description="seconds that the guardrail may take for a batch of examples"
    )
    lease_s: float = Field(20.0, gt=0, description="a worker that is silent for so long loses its job to another")
    max_attempts: int = Field(5, ge=1, description="how often an interrupted job is begun again")
    sweep_s: float = Field(
        2.0,
        gt=0,
        description="seconds between two looks for jobs that wait for a worker; five times as many while none does",
    )
    resend_s: float = Field(15.0, gt=0, description="seconds after which a waiting job is put into the queue again")
