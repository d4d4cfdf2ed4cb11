"""What a policy demands of an answer besides what it says: support by documents, a second model's consent, the model's own confidence."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Reply

JudgedMode = Literal["off", "flag", "refuse"]


class ConfidencePolicy(Reply):
    """How sure the model has to be of an answer, by the log-probabilities of its tokens and by how far several answers agree.

    `min_probability` is the least geometric mean of the tokens' probabilities. With `samples` so many more answers are asked for in the same
    call (not for streams), and the first has to agree with them by `min_agreement`. An answer below either is reported (`flag`) or, where it
    is not streamed, replaced by a refusal (`refuse`).
    """

    action: Literal["flag", "refuse"] = "flag"
    min_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    samples: Annotated[int, Field(ge=0, le=4)] = 0
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 0.5
