"""Settings of the eval service and its worker."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_EVAL_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_EVAL_")

    port: int = Field(8086, ge=1, le=65_535, description="port of the REST API")
    worker_port: int = Field(8186, ge=1, le=65_535, description="port of the worker's health and metrics")
    worker_concurrency: int = Field(2, ge=1, le=32, description="runs that one worker does at once")
    max_suite_bytes: int = Field(5 * 1024 * 1024, ge=1024, description="largest suite file")
    concurrency: int = Field(4, ge=1, le=64, description="items asked at once, unless the run says otherwise")
    item_timeout_s: float = Field(120.0, gt=0, le=3600, description="time for one answer, retries included")
    run_timeout_s: float = Field(14_400.0, gt=0, description="time for one run; what has no result then has none")
    max_tries: int = Field(4, ge=1, le=20, description="how often an item is asked when the gateway is busy or away")
    first_pause_s: float = Field(0.5, gt=0, le=60, description="pause before the second try; it doubles")
    lease_s: float = Field(12.0, gt=0, le=600, description="a worker that is silent for so long has lost its run")
    sweep_s: float = Field(
        2.0, gt=0, le=600, description="pause between two sweeps for runs that wait; five times as long while none does"
    )
    resend_s: float = Field(60.0, gt=0, description="a queued run is sent to the workers again after so long")
    max_attempts: int = Field(10, ge=1, description="a run is given up after so many workers were lost over it")
