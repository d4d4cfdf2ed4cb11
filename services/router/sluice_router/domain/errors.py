"""What can go wrong in the router."""

from sluice.errors import Conflict, DependencyUnavailable, NotFound
from sluice.settings import ConfigError


class ModelNotFound(NotFound):
    """No model or route has this name."""

    code, title = "model_not_found", "Model not found"


class NoDeployment(DependencyUnavailable):
    """Every deployment that could answer is down, and the route says that none is to be tried then."""

    code, title = "no_deployment", "No deployment available"


class ModelsFileError(ConfigError):
    """models.yaml is not right."""

    code, title = "models_file_error", "models.yaml is not right"


class ReloadRefused(Conflict):
    """models.yaml is not right, so what was in force stays."""

    code, title = "models_file_error", "models.yaml is not right"
