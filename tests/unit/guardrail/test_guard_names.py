"""Names of people: found where a policy asks for them, masked as other values, and no verdict where there is no model."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from sluice.contracts.guard import CheckRequest, InputVerdict, RedactRequest
from sluice.settings import ConfigError
from sluice_guardrail.adapters.spacy_names import SpacyNames, open_names
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies
from sluice_guardrail.domain.redacting import masked
from sluice_guardrail.domain.scanning import Tools


def pipeline(text: str) -> SimpleNamespace:
    """Answer as spaCy does, knowing three names."""

    def entities() -> Iterator[SimpleNamespace]:
        for name, label in (("Ada Lovelace", "PERSON"), ("bob@example.org", "PERSON"), ("Paris", "GPE")):
            at = text.find(name)
            if at != -1:
                yield SimpleNamespace(label_=label, start_char=at, end_char=at + len(name))

    return SimpleNamespace(ents=tuple(entities()))


TOOLS = Tools(names=SpacyNames(pipeline))
TEXT = "Ada Lovelace lives in Paris, mail bob@example.org"


def policy(**pii: object) -> NamedPolicy:
    return parse_policies({"version": 1, "policies": {"default": {"input": {"pii": pii}}}}, "guard.yaml").get("default")


def checked(tools: Tools, **pii: object) -> InputVerdict:
    verdict = check(CheckRequest(stage="input", text=TEXT), policy(**pii), lambda: None, tools=tools)
    assert isinstance(verdict, InputVerdict)
    return verdict


def test_names_are_found_only_where_a_policy_asks() -> None:
    assert checked(TOOLS).filtered_input == "Ada Lovelace lives in Paris, mail [EMAIL]"
    named = checked(TOOLS, kinds={"person": "redact"})
    assert named.filtered_input == "[PERSON] lives in Paris, mail [EMAIL]"
    assert [(one.kind, one.start, one.end) for one in named.details] == [("email", 34, 49), ("person", 0, 12)]


def test_a_name_is_masked_with_the_other_values() -> None:
    verdict = checked(TOOLS, action="mask", kinds={"person": "mask"})
    assert verdict.filtered_input == "<PERSON_1> lives in Paris, mail <EMAIL_1>"
    assert [entry.value for entry in verdict.vault] == ["Ada Lovelace", "bob@example.org"]
    redacted = masked(RedactRequest(text=TEXT), policy(kinds={"person": "flag"}), lambda: None, TOOLS)
    assert redacted.filtered_input == "<PERSON_1> lives in Paris, mail <EMAIL_1>"
    assert masked(RedactRequest(text=TEXT), policy(), lambda: None, Tools()).filtered_input == TEXT.replace(
        "bob@example.org", "<EMAIL_1>"
    )


@pytest.mark.parametrize(("on_error", "safe"), [("closed", False), ("open", True)])
def test_without_a_model_there_is_no_verdict_on_names(on_error: str, safe: bool) -> None:
    verdict = checked(Tools(), kinds={"person": "redact"}, on_error=on_error)
    assert verdict.safe is safe
    assert "check_failed" in verdict.issues


def test_a_model_that_is_not_there_is_told_at_the_start() -> None:
    assert open_names("") is None
    with pytest.raises(ConfigError, match="not installed here"):
        open_names("xx_no_such_model")
