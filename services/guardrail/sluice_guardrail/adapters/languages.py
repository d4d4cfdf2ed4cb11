"""Tells the language of a text with py3langid's model, which is part of its wheel."""

from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]


class Langid:
    """The model of 97 languages, opened once."""

    def __init__(self) -> None:
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def best(self, text: str) -> tuple[str, float]:
        """Return the likeliest language (ISO 639-1) and how sure that is, 0 to 1."""
        language, probability = self._identifier.classify(text)
        return str(language), float(probability)
