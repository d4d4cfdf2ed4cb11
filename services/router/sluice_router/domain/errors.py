"""What can go wrong in the router."""

from sluice.errors import BadRequest, DependencyUnavailable, NotFound
from sluice.settings import ConfigError


class ModelNotFound(NotFound):
    """No model or route has this name."""

    code, title = "model_not_found", "Model not found"


class ContextTooLong(BadRequest):
    """The prompt fits no candidate's context."""

    code, title = "context_length_exceeded", "Context length exceeded"


class NoDeployment(DependencyUnavailable):
    """Every deployment that could answer is down and there is nothing to try as a last resort."""

    code, title = "no_deployment", "No deployment available"


class ModelsFileError(ConfigError):
    """models.yaml is not right."""

    code, title = "models_file_error", "models.yaml is not right"
