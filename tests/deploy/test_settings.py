"""`.env.example` and README: every variable is a real one, and whatever must be set is named."""

import re

from tests.deploy.parts import (
    ROOT,
    SECRETS,
    SERVICE_PARTS,
    VARIABLE,
    compose,
    config_variables,
    folder_of,
    setting_variables,
    settings_classes,
)

EXAMPLE = ROOT / ".env.example"
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def _example() -> dict[str, str]:
    found = re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    assert len({name for name, _ in found}) == len(found), "a variable stands there twice"
    return dict(found)


def _known() -> set[str]:
    return set(setting_variables()) | config_variables() | set(VARIABLE.findall(COMPOSE))


def test_every_variable_is_a_setting() -> None:
    assert set(_example()) - _known() == set()


def test_every_setting_without_default_is_named() -> None:
    required = {name for name, has_default in setting_variables().items() if not has_default}
    assert required - set(_example()) == set()


def test_everything_that_compose_takes_is_named() -> None:
    assert set(VARIABLE.findall(COMPOSE)) - set(_example()) == set()


def test_everything_that_the_configuration_files_take_is_set_or_named() -> None:
    given = set(compose()["services"]["gateway"]["environment"])
    assert config_variables() - set(_example()) - given == set()


def test_secrets_are_named_and_empty() -> None:
    example = _example()
    for secret in SECRETS:
        assert example[secret] == "", f"{secret} must be chosen by whoever deploys"


def test_every_setting_says_what_it_is() -> None:
    for where, cls in settings_classes().items():
        for name, field in cls.model_fields.items():
            assert field.description, f"{where}: {name}"


def test_readme_has_a_row_for_every_service() -> None:
    readme = (ROOT / "README.md").read_text()
    for part in SERVICE_PARTS:
        assert re.search(rf"^\| {folder_of(part.service).name} \| {part.port} \| \S", readme, re.MULTILINE), part.name
