"""What can go wrong in the router."""

from collections.abc import Sequence

from sluice.errors import NO_DEPLOYMENT, Conflict, DependencyUnavailable, NotFound, Problem, SluiceError, Unprocessable
from sluice.settings import ConfigError

_TOLD = 3  # faults in the sentence; all are in the list


class ModelNotFound(NotFound):
    """No model or route has this name."""

    code, title = "model_not_found", "Model not found"


class NoDeployment(DependencyUnavailable):
    """Every deployment that could answer is down, and the route says that none is to be tried then."""

    code, title = NO_DEPLOYMENT, "No deployment available"


class NothingSuits(Unprocessable):
    """No model of the route may or can take such a request, however long one waits."""

    code, title = "no_suitable_model", "No suitable model"


class ModelsFileError(ConfigError):
    """models.yaml is not right."""

    code, title = "models_file_error", "models.yaml is not right"


class ReloadRefused(Conflict):
    """models.yaml is not right, so what was in force stays."""

    code, title = "models_file_error", "models.yaml is not right"


class ExamplesFileError(ConfigError):
    """intents.yaml or domains.yaml is not right."""

    code, title = "examples_file_error", "Examples are not right"


class TrainingRefused(Unprocessable):
    """A classifier cannot be trained from what there is."""

    code, title = "training_refused", "Training refused"


class RegistryInvalid(Unprocessable):
    """An object does not fit the configuration, or says what the API does not take."""

    code, title = "registry_invalid", "Not acceptable"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        told = [(field, f"`{field}` {said}" if field else said) for field, said in problems]
        super().__init__(" ".join(_ended(sentence) for _, sentence in told[:_TOLD]))
        self._errors = tuple({"loc": f"body.{field}" if field else "body", "msg": _ended(said)} for field, said in told)

    def problem(self, request_id: str | None = None) -> Problem:
        """Return the error with every field that is wrong."""
        return super().problem(request_id).model_copy(update={"errors": self._errors})


class EntryNotFound(NotFound):
    """Nothing of this name was made through the API."""

    code, title = "registry_entry_not_found", "Not found"


class VersionNotFound(NotFound):
    """The registry has no such version."""

    code, title = "registry_version_not_found", "Version not found"


class NameTaken(Conflict):
    """There is a model, route or alias of this name, or a policy."""

    code, title = "name_taken", "Name taken"


class DeclaredInFile(Conflict):
    """models.yaml declares it, so the API cannot change it."""

    code, title = "declared_in_file", "Declared in models.yaml"


class StillInUse(Conflict):
    """Something else names it."""

    code, title = "still_in_use", "Still in use"


class PreconditionFailed(SluiceError):
    """The object is not as the request expects it to be."""

    status, code, title = 412, "precondition_failed", "Precondition failed"


class IdempotencyKeyReused(Unprocessable):
    """The Idempotency-Key was used for another request."""

    code, title = "idempotency_key_reused", "Idempotency key reused"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."
