"""Settings of the inference service."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_INFERENCE_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_INFERENCE_")

    port: int = Field(8084, ge=1, le=65_535, description="port of the REST API")
    engines_file: str = Field("engines.yaml", description="file in SLUICE_CONFIG_DIR that describes the engines")
    log_dir: Path = Field(Path(".sluice/logs"), description="folder for the engines' own logs")
    max_log_bytes: int = Field(16 * 1024 * 1024, ge=4096, description="size at which an engine's log begins again")
    poll_idle_s: float = Field(5.0, gt=0, le=300, description="seconds between two looks at an engine without work")
    poll_busy_s: float = Field(1.0, gt=0, le=300, description="seconds between two looks at an engine with work")
    drain_s: float = Field(10.0, ge=0, le=600, description="how long running requests may go on before a stop")
    kill_after_s: float = Field(5.0, gt=0, le=600, description="how long a stopped engine may take before it is killed")
    adapter_leave_s: float = Field(
        2.0,
        ge=0,
        le=600,
        description="how long an adapter with an engine of its own still answers after it was unloaded",
    )
    restart_first_pause_s: float = Field(0.5, gt=0, le=600, description="pause before the first restart; it doubles")
    restart_longest_pause_s: float = Field(30.0, gt=0, le=3600, description="longest pause between two restarts")
    crash_limit: int = Field(5, ge=1, le=100, description="failures in the window that make a crash loop")
    crash_window_s: float = Field(120.0, gt=0, le=86_400, description="seconds in which failures are counted")
    probe_limit: int = Field(3, ge=1, le=100, description="unanswered health questions in a row that mean a hang")
