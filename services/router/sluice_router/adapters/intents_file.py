"""intents.yaml: the example utterances of each intent."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sluice.settings import PlatformSettings
from sluice_router.domain.errors import IntentsFileError
from sluice_router.domain.sentences import described

FILENAME = "intents.yaml"
Utterance = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
IntentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class IntentsFile(BaseModel):
    """What a classifier is trained on: intents with at least five utterances, and texts that belong to none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intents: Annotated[
        dict[IntentName, Annotated[tuple[Utterance, ...], Field(min_length=5, max_length=5000)]],
        Field(min_length=2, max_length=500),
    ]
    out_of_scope: Annotated[tuple[Utterance, ...], Field(max_length=5000)] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: dict[str, str] = {}
        for intent, texts in (*self.intents.items(), ("out_of_scope", self.out_of_scope)):
            for text in texts:
                if text.lower() in seen:
                    raise ValueError(
                        f"{text[:80]!r} stands under {seen[text.lower()]} and {intent}; leave it in one place"
                    )
                seen[text.lower()] = intent
        return self


def load(platform: PlatformSettings) -> IntentsFile:
    """Read and check the file.

    Raises:
        IntentsFileError: with every wrong value, where it stands and what is wrong.
    """
    raw = platform.load_yaml(FILENAME)
    where: Path = platform.config_dir / FILENAME
    try:
        return IntentsFile.model_validate(raw)
    except ValidationError as exc:
        fields = IntentsFile.model_fields
        raise IntentsFileError(f"{where} is not right: {described(exc, raw, [*fields])}") from exc
