"""Names of people by a pipeline of spaCy, which is not installed by default (`pip install spacy` and a model)."""

import importlib
from collections.abc import Iterator
from typing import Any

from sluice.settings import ConfigError

_UNUSED = ("tagger", "parser", "attribute_ruler", "lemmatizer", "morphologizer", "senter")
_PEOPLE = frozenset({"PERSON", "PER"})
"""What English pipelines, and those trained on WikiNER, call a person."""


class SpacyNames:
    """One pipeline, loaded at start; a text of 200 words takes it some ten milliseconds of CPU."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def people(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of people's names, in characters."""
        for entity in self._pipeline(text).ents:
            if entity.label_ in _PEOPLE:
                yield entity.start_char, entity.end_char


def open_names(model: str) -> SpacyNames | None:
    """Return the pipeline of this name, None for no name.

    Raises:
        ConfigError: spaCy or the model is not installed, or it finds no names.
    """
    if not model:
        return None
    try:
        pipeline = importlib.import_module("spacy").load(model, exclude=list(_UNUSED))
    except (ImportError, OSError) as exc:
        raise ConfigError(
            f"SLUICE_GUARDRAIL_NAMES_MODEL is {model!r}, and spaCy or this model is not installed here. "
            "Install both (pip install spacy, and the model), or leave the setting empty."
        ) from exc
    if "ner" not in pipeline.pipe_names:
        raise ConfigError(f"SLUICE_GUARDRAIL_NAMES_MODEL is {model!r}, which finds no names. Choose a model that does.")
    pipeline.max_length = 2_000_000
    return SpacyNames(pipeline)
