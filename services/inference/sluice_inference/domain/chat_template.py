"""Whether a chat template belongs to a model (F110): a wrong one costs quality and says nothing."""

import re
from collections.abc import Container

_MARK = re.compile(r"<[|｜][^|｜<>\s'\"]{1,60}[|｜]>|<(?:start|end)_of_turn>")


def marks(template: str) -> tuple[str, ...]:
    """Return the marks that a template sets around messages, such as `<|im_start|>`, each once, in the order of the template."""
    return tuple(dict.fromkeys(_MARK.findall(template)))


def misfit(template: str | None, vocabulary: Container[str]) -> str | None:
    """Return why a model cannot be served with a template, None if it can.

    Half of the marks have to be tokens of the model: a few may be for tools that it was not trained on. A template without marks (Llama 2's, Alpaca's)
    writes plain text, which tells nothing.
    """
    if template is None or not template.strip():
        return (
            "the model has no chat template, so it is no chat model or its file lost it, and the engine would guess one. "
            "Set chat_template in engines.yaml to the file of the template that it was trained with"
        )
    found = marks(template)
    missing = [mark for mark in found if mark not in vocabulary]
    if found and 2 * len(missing) >= len(found):
        return (
            f"its chat template does not match the model: the marks {', '.join(missing[:4])} of the template are no tokens of the model, which would "
            "read them as text. Set chat_template in engines.yaml to the file of the template that it was trained with"
        )
    return None
