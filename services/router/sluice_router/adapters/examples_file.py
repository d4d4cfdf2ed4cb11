"""intents.yaml and domains.yaml: the example texts of each intent and of each domain."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sluice.settings import PlatformSettings
from sluice_router.domain.classify.training import REJECTED_SHARE
from sluice_router.domain.errors import ExamplesFileError
from sluice_router.domain.sentences import described

Utterance = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
ClassName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Classes = Annotated[
    dict[ClassName, Annotated[tuple[Utterance, ...], Field(min_length=5, max_length=5000)]],
    Field(min_length=2, max_length=500),
]


class ExamplesFile(BaseModel):
    """What a classifier is trained on: classes with at least five texts, and texts that belong to none.

    `rejected_share` of the texts in scope may be taken for out of scope: more of it finds more of what is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out_of_scope: Annotated[tuple[Utterance, ...], Field(max_length=5000)] = ()
    rejected_share: Annotated[float, Field(ge=0, le=0.5)] = REJECTED_SHARE

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """The texts of each class."""
        raise TypeError  # each file has its own name for them

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: dict[str, str] = {}
        for name, texts in (*self.classes.items(), ("out_of_scope", self.out_of_scope)):
            for text in texts:
                if text.lower() in seen:
                    raise ValueError(
                        f"{text[:80]!r} stands under {seen[text.lower()]} and {name}; leave it in one place"
                    )
                seen[text.lower()] = name
        return self


class IntentsFile(ExamplesFile):
    """intents.yaml."""

    intents: Classes

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """The utterances of each intent."""
        return self.intents


class DomainsFile(ExamplesFile):
    """domains.yaml; its names are those that models give in `domains`."""

    domains: Classes

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """The texts of each domain."""
        return self.domains


FILES: dict[str, type[ExamplesFile]] = {"intents.yaml": IntentsFile, "domains.yaml": DomainsFile}


def load(platform: PlatformSettings, filename: str) -> ExamplesFile:
    """Read and check a file.

    Raises:
        ExamplesFileError: with every wrong value, where it stands and what is wrong.
    """
    raw: Any = platform.load_yaml(filename)
    shape = FILES[filename]
    try:
        return shape.model_validate(raw)
    except ValidationError as exc:
        where = platform.config_dir / filename
        said = described(exc, raw, [*shape.model_fields], lambda place: platform.line_of(filename, place))
        raise ExamplesFileError(f"{where} is not right: {said}") from exc
