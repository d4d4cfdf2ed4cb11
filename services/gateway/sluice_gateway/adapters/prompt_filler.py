"""Fills the stored prompt that a request to /v1/responses names, as OpenAI's clients send it: `prompt: {id, version, variables}`."""

from typing import Any, Protocol

import orjson

from sluice.errors import SluiceError
from sluice.ids import new_id
from sluice_gateway import nesting
from sluice_gateway.dataplane.errors import InvalidRequest, Unavailable, wrong_value
from sluice_gateway.dataplane.wants import prompt_subject
from sluice_gateway.domain.ports import Filled, KeyRecord
from sluice_gateway.domain.prompts import StoredVersion, Value, rendered, values_in_system
from sluice_gateway.domain.response_prompts import Unsuited, response_of

_OPENAIS = "pmpt_"


class StoredPrompts(Protocol):
    """Where prompts are kept; raises DependencyUnavailable while that is away, PromptNotFound and PromptVersionNotFound."""

    async def called(self, tenant: str, called: str, number: int | None, subject: str) -> StoredVersion:
        """Return a version of the prompt of this name or id, without a number the one in use for a subject."""
        ...


class PromptFiller:
    """Reads prompts from the database, by name or id; prompts that are stored at OpenAI (`pmpt_…`) are left to it."""

    def __init__(self, prompts: StoredPrompts) -> None:
        self._prompts = prompts

    async def filled(self, key: KeyRecord, raw: bytes) -> Filled | None:
        """Return the body with the prompt that it names, None where it names none of ours."""
        try:
            fields = nesting.loads(raw)
        except (nesting.TooDeep, orjson.JSONDecodeError):
            return None  # who reads it next says what is wrong
        said = fields.get("prompt") if type(fields) is dict else None
        if type(said) is not dict or type(said.get("id")) is not str or said["id"].startswith(_OPENAIS):
            return None
        version, variables = _version(said.get("version")), _variables(said.get("variables"))
        whom = prompt_subject(_subject(said.get("subject")), fields, key.tenant) or new_id("draw")
        try:
            found = await self._prompts.called(key.tenant, said["id"], version, whom)
            body = response_of(found.template, rendered(found.template, variables), fields)
        except Unsuited as exc:
            raise InvalidRequest(str(exc), param="prompt", code="unsupported_parameter") from exc
        except SluiceError as exc:
            if exc.status >= 500:
                raise Unavailable("The prompt cannot be read now. Try again in a few seconds.") from exc
            raise InvalidRequest(exc.detail, param="prompt", code=exc.code) from exc
        values = values_in_system(found.template, variables)
        return Filled(orjson.dumps(body), found.prompt, found.version, values)


def _version(said: Any) -> int | None:
    if said is None:
        return None
    number = int(said) if type(said) is str and said.isdecimal() and len(said) < 8 else said
    if type(number) is not int or not 1 <= number <= 1_000_000:
        raise wrong_value(
            "prompt.version", 'must be the number of a version, such as "3"; without it the one in use is meant.'
        )
    return number


def _subject(said: Any) -> str | None:
    if said is None or (type(said) is str and 0 < len(said) <= 200):
        return said
    raise wrong_value("prompt.subject", "must be a text of 1 to 200 characters, such as the id of a session.")


def _variables(said: Any) -> dict[str, Value]:
    if said is None:
        return {}
    if type(said) is not dict:
        raise wrong_value("prompt.variables", "must be an object with a value for each variable.")
    return {name: _value(name, value) for name, value in said.items()}


def _value(name: str, value: Any) -> Value:
    if type(value) is dict and value.get("type") == "input_text" and type(value.get("text")) is str:
        return str(value["text"])
    if isinstance(value, str | bool | int | float):
        return value
    raise wrong_value(f"prompt.variables.{name}", "must be a text, a number, true or false, or an `input_text`.")
