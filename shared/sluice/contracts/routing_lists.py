"""What the router's API lists and tells of its configuration."""

from typing import Literal

from sluice.contracts.base import Reply
from sluice.contracts.routing import Deployment, Model, Route


class ModelList(Reply):
    """All models, as configured and probed."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]


class ModelOfDeployment(Reply):
    """A deployment, the model that it serves, and its load: the share of its capacity that is in use, as far as known."""

    model: str
    deployment: Deployment
    load: float = 0.0


class DeploymentList(Reply):
    """All deployments."""

    object: Literal["list"] = "list"
    data: tuple[ModelOfDeployment, ...]


class RouteList(Reply):
    """All virtual models."""

    object: Literal["list"] = "list"
    data: tuple[Route, ...]


class ConfigStatus(Reply):
    """Where the configuration comes from; `problem` says why a changed file was not taken over, None when it was."""

    object: Literal["router.config"] = "router.config"
    file: str
    loaded_at: float
    problem: str | None = None


class ReloadReply(Reply):
    """Whether reading the file again changed anything, and the version now in force."""

    changed: bool
    version: int
