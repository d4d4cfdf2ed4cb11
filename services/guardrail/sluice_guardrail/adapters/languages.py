"""Tells the language of a text with py3langid's model, which is part of its wheel."""

from functools import cached_property
from typing import Any


class Langid:
    """The model of 97 languages, opened at its first question: it takes a second and 70 MB, which most policies never need."""

    @cached_property
    def _identifier(self) -> Any:
        from py3langid.langid import (  # type: ignore[import-untyped]  # noqa: PLC0415 - see the class
            MODEL_FILE,
            LanguageIdentifier,
        )

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def best(self, text: str) -> tuple[str, float]:
        """Return the likeliest language (ISO 639-1) and how sure that is, 0 to 1."""
        language, probability = self._identifier.classify(text)
        return str(language), float(probability)
