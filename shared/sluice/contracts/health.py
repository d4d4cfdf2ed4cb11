"""What /healthz and /readyz answer."""

from typing import Literal

from sluice.contracts.base import Reply


class Health(Reply):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    service: str
    version: str


class Readiness(Reply):
    """Whether the service can do its job now; `checks` names each dependency with `ok` or what is wrong."""

    status: Literal["ready", "not_ready"]
    service: str
    checks: dict[str, str]
