"""Which kind of evidence a question asks for (F149): text, a table to count over, an image, or code."""

import re

from sluice.contracts.questions import Modality

_IMAGE = re.compile(
    r"\b(?:picture|photo|photograph|image|screenshot|diagram|drawing|logo|figure|chart|bild|foto|abbildung|image|schéma|"
    r"imagen|dibujo|diagrama)s?\b|\blooks?\s+like\b|\bshow\s+me\s+(?:a|the)\s+(?:map|plan|sketch)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"`[^`]+`|\b(?:function|method|class|snippet|stack\s?trace|regex|source\s+code|code\s+example|api\s+call|curl|sql)\b|"
    r"\b\w+\(\)|\b[a-z]+(?:_[a-z0-9]+)+\b|\b[a-z]+[A-Z]\w+\b",
)
_TABLE = re.compile(
    r"\b(?:average|mean|median|total|sum|count|number\s+of|minimum|maximum|highest|lowest|largest|smallest|most\s+expensive|"
    r"cheapest|per\s+(?:month|year|region|country|category)|in\s+total|altogether|how\s+many|durchschnitt\w*|summe|"
    r"insgesamt|anzahl|wie\s+viele|moyenne|somme|au\s+total|combien\s+de|promedio|suma|cuántos|cuántas)\b",
    re.IGNORECASE,
)


def modality_of(question: str) -> Modality:
    """Return what a question asks for, by its words; `text` where nothing says otherwise."""
    if _IMAGE.search(question):
        return "image"
    if _TABLE.search(question):
        return "table"
    return "code" if _CODE.search(question) else "text"
