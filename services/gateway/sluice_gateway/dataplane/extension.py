"""The `sluice` object of a request: what this gateway adds to the API."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from sluice.contracts.base import Request
from sluice.contracts.memories import MemoryUse
from sluice.contracts.questions import QueryUnderstanding
from sluice.contracts.retrieval import BudgetChoice, ContextPlacement, ContextTemplate
from sluice.contracts.routing import StructuredMode
from sluice.contracts.sampling import SamplingPreset
from sluice.contracts.searching import RankingControl
from sluice.sentences import faults
from sluice_gateway.dataplane.errors import InvalidRequest


class RetrievalOptions(RankingControl, Request):
    """`sluice.retrieval`: which vector stores to search for this request, and whether to recall what is known of the end user."""

    vector_store_ids: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=20)
    ] = ()
    memory: MemoryUse | None = None
    placement: ContextPlacement = "ranked"
    follow_ups: Annotated[
        bool, Field(description="make a follow-up a question that stands alone, from the messages before it")
    ] = True
    understand: Annotated[
        QueryUnderstanding | None, Field(description="what is done with the question first; else as the stores say")
    ] = None
    template: ContextTemplate = "numbered"
    budget_tokens: BudgetChoice = None
    results: Annotated[bool, Field(description="tell what was found in a `file_search_call`, in /v1/responses")] = False

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.vector_store_ids and self.memory is None:
            raise ValueError("name at least one of vector_store_ids, or memory")
        return self


class SluiceOptions(Request):
    """The `sluice` object of a request; it never goes upstream."""

    retrieval: RetrievalOptions | None = None
    policy: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    sampling: SamplingPreset | None = None
    structured_output: StructuredMode | None = None


def extension_of(fields: dict[str, Any]) -> SluiceOptions:
    """Return the object of a request that has one.

    Raises:
        InvalidRequest: a field of it is unknown or has a wrong value.
    """
    try:
        return SluiceOptions.model_validate(fields["sluice"])
    except ValidationError as exc:
        first = faults([{**error, "loc": ("sluice", *error["loc"])} for error in exc.errors(include_url=False)])[0]
        raise InvalidRequest(first.sentence, param=first.field, code="invalid_value") from exc
