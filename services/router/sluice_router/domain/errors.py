"""What can go wrong in the router."""

from sluice.errors import Conflict, DependencyUnavailable, NotFound, Unprocessable
from sluice.settings import ConfigError


class ModelNotFound(NotFound):
    """No model or route has this name."""

    code, title = "model_not_found", "Model not found"


class NoDeployment(DependencyUnavailable):
    """Every deployment that could answer is down, and the route says that none is to be tried then."""

    code, title = "no_deployment", "No deployment available"


class NothingSuits(Unprocessable):
    """No model of the route may or can take such a request, however long one waits."""

    code, title = "no_suitable_model", "No suitable model"


class ModelsFileError(ConfigError):
    """models.yaml is not right."""

    code, title = "models_file_error", "models.yaml is not right"


class ReloadRefused(Conflict):
    """models.yaml is not right, so what was in force stays."""

    code, title = "models_file_error", "models.yaml is not right"


class IntentsFileError(ConfigError):
    """intents.yaml is not right."""

    code, title = "intents_file_error", "intents.yaml is not right"


class TrainingRefused(Unprocessable):
    """A classifier cannot be trained from what there is."""

    code, title = "training_refused", "Training refused"
