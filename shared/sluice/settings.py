"""Settings from the environment: the platform's shared ones and the base of each service's own."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import yaml
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sluice.errors import ServiceOff, SluiceError
from sluice.yaml_lines import line_of, read

ServiceName = Literal[
    "gateway", "router", "guardrail", "retrieval", "inference", "finetune", "eval", "feedback", "bridge"
]
SERVICES: tuple[ServiceName, ...] = (
    "gateway",
    "router",
    "guardrail",
    "retrieval",
    "inference",
    "finetune",
    "eval",
    "feedback",
)
OPTIONAL_SERVICES: tuple[ServiceName, ...] = ("bridge",)  # not part of a platform unless one asks for it

ALWAYS: tuple[ServiceName, ...] = ("gateway", "router")  # the least that answers requests
_PROFILES = ("gpu", "observability")  # further profiles of docker-compose.yml, whose names stand in the same list there

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MIN_SECRET = 16


class ConfigError(SluiceError):
    """A setting or configuration file is wrong; the sentence names it and says what to change."""

    code, title = "config_error", "Configuration error"


class PlatformSettings(BaseSettings):
    """What all parts of one platform share; variables start with SLUICE_."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )
    required_secrets: ClassVar[tuple[str, ...]] = ("admin_key", "service_secret")

    env: Literal["dev", "production"] = Field("production", description="production refuses missing or short secrets")
    host: str = Field("127.0.0.1", description="address that the services listen on")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe log line written")
    data_dir: Path = Field(Path(".sluice/data"), description="folder for databases, vectors, journals and blobs")
    config_dir: Path = Field(Path("deploy/config"), description="folder with models.yaml, guard.yaml and others")
    secrets_dir: Path = Field(Path("/run/secrets"), description="folder with files that hold keys of providers")
    services: str = Field(
        "", description="services that run, such as `guardrail,retrieval`, beside gateway and router; empty means all"
    )
    redis_url: str = Field("redis://127.0.0.1:8091/0", description="Redis or Valkey")
    database_url: str = Field("", description="PostgreSQL URL; empty means one SQLite file per service in data_dir")
    database_connect_s: float = Field(5.0, gt=0, le=600, description="seconds that a connection to PostgreSQL may take")
    qdrant_url: str = Field("", description="Qdrant server; empty means the embedded engine in the retrieval service")
    admin_key: SecretStr = Field(SecretStr(""), description="credential of the administrator for all admin APIs")
    service_secret: SecretStr = Field(SecretStr(""), description="signs the tokens that services show each other")
    auto_migrate: bool = Field(default=True, description="bring the database schema up to date when a service starts")
    drain_s: float = Field(
        0.0, ge=0, le=60, description="seconds that a service told to stop still takes requests, while it is not ready"
    )
    finish_s: float = Field(
        25.0, ge=0, le=3600, description="seconds that a service told to stop gives to what it is still answering"
    )
    trace_file_dir: str = Field("", description="folder for traces as OTLP JSON lines; empty writes none")
    otlp_endpoint: str = Field(
        "", description="OTLP over HTTP collector, such as http://collector:4318; empty sends none"
    )
    trace_ratio: float = Field(1.0, ge=0, le=1, description="share of requests traced, unless the caller decided")
    gateway_url: str = Field("http://127.0.0.1:8080", description="where the gateway answers")
    router_url: str = Field("http://127.0.0.1:8081", description="where the router answers")
    guardrail_url: str = Field("http://127.0.0.1:8082", description="where the guardrail answers")
    retrieval_url: str = Field("http://127.0.0.1:8083", description="where retrieval answers")
    inference_url: str = Field("http://127.0.0.1:8084", description="where the inference service answers")
    finetune_url: str = Field("http://127.0.0.1:8085", description="where the finetune-worker's API answers")
    eval_url: str = Field("http://127.0.0.1:8086", description="where eval answers")
    feedback_url: str = Field("http://127.0.0.1:8087", description="where feedback answers")
    bridge_url: str = Field("http://127.0.0.1:8088", description="where the bridge answers, if there is one")

    @model_validator(mode="after")
    def _secrets_are_set(self) -> Self:
        if self.env == "production":
            for name in self.required_secrets:
                if len(getattr(self, name).get_secret_value()) < _MIN_SECRET:
                    raise ValueError(
                        f"SLUICE_{name.upper()} is missing or shorter than {_MIN_SECRET} characters; "
                        "set it (for example to the output of `openssl rand -hex 24`), or SLUICE_ENV=dev on your own machine"
                    )
        return self

    @field_validator("services")
    @classmethod
    def _services_are_known(cls, value: str) -> str:
        services_in(value)
        return value

    def runs(self, service: ServiceName) -> bool:
        """Tell whether a service is part of this installation."""
        return service in services_in(self.services)

    def require(self, service: ServiceName) -> None:
        """Refuse what needs a service that is not part of this installation.

        Raises:
            ServiceOff: it is not; the sentence says what to set.
        """
        if not self.runs(service):
            raise ServiceOff(
                f"The {service} service is off: add `{service}` to SLUICE_SERVICES (`make up`) or COMPOSE_PROFILES (containers) and start again."
            )

    def service_url(self, service: ServiceName) -> str:
        """Return the base URL of a service, without a trailing slash."""
        url: str = getattr(self, f"{service}_url")
        return url.rstrip("/")

    def database_url_for(self, service: str) -> str:
        """Return the SQLAlchemy URL of a service's database."""
        if not self.database_url:
            return f"sqlite+aiosqlite:///{self.data_dir.absolute() / service}.sqlite"
        return re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", self.database_url)

    def line_of(self, filename: str, place: Sequence[str | int]) -> str:
        """Return `line 12: ` for a value of a file of the configuration folder, and nothing when its line is not known."""
        try:
            text = (self.config_dir / filename).read_text(encoding="utf-8")
            line = line_of(expand_variables(text, filename), place)
        except (OSError, ConfigError):
            return ""
        return "" if line is None else f"line {line}: "

    def load_yaml(self, filename: str) -> Any:
        """Read a file of the configuration folder and expand `${VAR}` and `${VAR:-default}` in its text."""
        path = self.config_dir / filename
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as exc:
            raise ConfigError(
                f"Cannot read {path}: {exc.strerror}. Set SLUICE_CONFIG_DIR to the folder that holds it."
            ) from exc
        try:
            return read(expand_variables(text, str(path)))
        except yaml.YAMLError as exc:
            raise ConfigError(f"{path} is not valid YAML: {exc}") from exc


class ServiceSettings(BaseSettings):
    """The base of a service's own settings; a subclass sets `env_prefix` to SLUICE_<SERVICE>_ and adds `port`."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)
    required_secrets: ClassVar[tuple[str, ...]] = ()

    port: int = Field(0, ge=0, le=65535, description="port that the service listens on")


Kind = TypeVar("Kind", bound=PlatformSettings | ServiceSettings)


def without_secrets(kind: type[Kind], **values: Any) -> tuple[Kind, tuple[str, ...]]:
    """Return settings in which something stands in for each required secret that is not set, and the variables of these.

    So configuration files can be checked where nobody has the secrets; one that is set is checked as ever. `values` are for finding out.
    """
    found = kind(**values)
    unset = [name for name in kind.required_secrets if not getattr(found, name).get_secret_value()]
    prefix = kind.model_config.get("env_prefix", "")
    stand_ins: dict[str, Any] = {name: SecretStr("not set " * 4) for name in unset}
    return kind(**stand_ins), tuple(f"{prefix}{name.upper()}" for name in unset)


def services_in(text: str) -> frozenset[ServiceName]:
    """Return the services that a list names, with those that every installation has; all that are not optional for an empty one.

    Raises:
        ValueError: there is no such service.
    """
    known: dict[str, ServiceName] = {name: name for name in (*SERVICES, *OPTIONAL_SERVICES)}
    found = {name.strip() for name in text.split(",")} - {""}
    if not found:
        return frozenset(known.values())
    strange = sorted(found - set(known) - set(_PROFILES))
    if strange:
        raise ValueError(f"SLUICE_SERVICES names {', '.join(strange)}; services are {', '.join(known)}")
    return frozenset({*ALWAYS, *(known[name] for name in found if name in known)})


def expand_variables(text: str, where: str) -> str:
    """Replace `${VAR}` and `${VAR:-default}` by the environment's values; an unset one without default is an error."""

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name)  # noqa: TID251
        if found:
            return found
        if default is None:
            raise ConfigError(f"{where} uses ${{{name}}}, which is not set. Set it, or write ${{{name}:-default}}.")
        return default

    return _VARIABLE.sub(value, text)


def secret_from_environment(name: str) -> str | None:
    """Return the value of a variable that a configuration file names (an upstream's API key), or None."""
    return os.environ.get(name) or None  # noqa: TID251
