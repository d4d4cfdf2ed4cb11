"""Tells the language of a text with py3langid's model, which is part of its wheel."""

import threading
from functools import cached_property
from typing import Any

_READ_CHARS = 1000
_LEAST = 0.6
_SHORTEST = 12


class Languages:
    """The model of 97 languages, opened at its first question: it takes a second and 70 MB."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def opened(self) -> bool:
        """Tell whether the model is in memory; then a question takes a tenth of a millisecond."""
        return "_identifier" in vars(self)

    @cached_property
    def _identifier(self) -> Any:
        from py3langid.langid import (  # type: ignore[import-untyped]  # noqa: PLC0415 - see the class
            MODEL_FILE,
            LanguageIdentifier,
        )

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def language_of(self, text: str) -> str | None:
        """Return the ISO 639-1 code of a text's language; None for a few letters, and where the model is not sure."""
        begun = text[:_READ_CHARS]
        if sum(map(str.isalpha, begun)) < _SHORTEST:
            return None
        with self._lock:  # opened once, whoever asks first
            language, probability = self._identifier.classify(begun)
        return str(language) if probability >= _LEAST else None
