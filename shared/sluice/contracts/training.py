"""What the router's classifiers are trained on, and what they are worth."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request


class ClassWorth(Reply):
    """What a classifier is worth for one class, on examples that it was not trained on.

    `taken_for` counts what its examples were taken for instead; `(out of scope)` stands for none of the classes.
    """

    name: str
    examples: int
    precision: float | None
    recall: float
    taken_for: dict[str, int]


class CalibrationBin(Reply):
    """Of texts with about this confidence, the share that was right."""

    confidence: float
    accuracy: float
    count: int


class FloorPoint(Reply):
    """What one floor would do: texts in scope that are taken for out of scope and that are right, and texts out of scope that are found."""

    floor: float
    in_scope_right: float
    rejected: float | None = None
    out_of_scope_found: float | None


class TrainingReport(Reply):
    """What a classifier is worth, measured on examples that were left out of the training, and where it stands now."""

    object: Literal["router.training"] = "router.training"
    classifier: str
    examples: int
    accuracy: float
    rejected: float
    out_of_scope_found: float | None
    calibration_error: float
    temperature: float
    floor: float
    sha256: str
    classes: tuple[ClassWorth, ...]
    calibration: tuple[CalibrationBin, ...]
    curve: tuple[FloorPoint, ...]


class DifficultyExample(Request):
    """A prompt, and how good the answers of a weaker and of a stronger model were: 0 to 1, or whether they were right."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    weak: Annotated[float, Field(ge=0, le=1)]
    strong: Annotated[float, Field(ge=0, le=1)]


class DifficultyTraining(Request):
    """What the classifier `difficulty` is trained on."""

    examples: Annotated[tuple[DifficultyExample, ...], Field(min_length=100, max_length=20_000)]


class SharePoint(Reply):
    """What giving this share of requests to the stronger model would do: mean quality, and how much of its advantage that keeps."""

    strong_share: float
    quality: float
    gap_recovered: float


class DifficultyReport(Reply):
    """What the classifier `difficulty` is worth, on examples that were left out of its training.

    `apgr` is the mean share of the stronger model's advantage that is kept over all shares of requests that it may get (RouteLLM, Ong
    and others 2024): 0.5 is what chance does. `weak_quality` and `strong_quality` are the means of both models.
    """

    object: Literal["router.training"] = "router.training"
    classifier: Literal["difficulty"] = "difficulty"
    examples: int
    apgr: float
    weak_quality: float
    strong_quality: float
    sha256: str
    curve: tuple[SharePoint, ...]
