"""Tells the language of a text with py3langid's model, which is part of its wheel."""

import asyncio
from functools import cached_property
from typing import Any

from sluice_router.domain.classify.head import READ_CHARS
from sluice_router.domain.classify.reading import Reading

_SHORTEST = 12


class Languages:
    """The model of 97 languages, opened at its first question: it takes a second and 70 MB, which most routes never need."""

    @cached_property
    def _identifier(self) -> Any:
        from py3langid.langid import (  # type: ignore[import-untyped]  # noqa: PLC0415 - see the class
            MODEL_FILE,
            LanguageIdentifier,
        )

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    async def read(self, text: str, least: float) -> Reading:
        """Return the likeliest language (ISO 639-1); a few letters, and what is not sure, are `not_confident`."""
        if "_identifier" not in self.__dict__:
            await asyncio.to_thread(lambda: self._identifier)
        language, probability = self._identifier.classify(text[:READ_CHARS])
        sure = probability >= least and sum(map(str.isalpha, text)) >= _SHORTEST
        return Reading("recognised" if sure else "not_confident", str(language), float(probability))
