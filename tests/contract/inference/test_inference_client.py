"""The shared client against the real application, in process, with engines that are described and cannot start."""

from pathlib import Path

import pytest
import yaml

from sluice.clients.inference import InferenceClient
from sluice.errors import Conflict, NotFound, Unprocessable
from sluice.settings import ConfigError
from sluice.testing import platform_settings, service_client
from sluice_inference.app import create_app
from sluice_inference.settings import Settings
from sluice_inference.wiring import load_engines, open_deps

ENGINES: list[dict[str, object]] = [
    {"id": "local", "backend": "llamacpp", "model": "m", "model_package": "no_such_wheel"},
    {"id": "far", "backend": "remote", "model": "m", "base_url": "http://127.0.0.1:9/v1", "slots": 3},
]


def write(folder: Path, engines: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "engines.yaml").write_text(yaml.safe_dump({"engines": engines}))


async def test_client_and_service_understand_each_other(tmp_path: Path) -> None:
    write(tmp_path / "config", ENGINES)
    platform = platform_settings(tmp_path, config_dir=tmp_path / "config")
    settings = Settings(_env_file=None, log_dir=tmp_path / "logs")
    app = create_app(lambda: open_deps(platform, settings))
    async with app.router.lifespan_context(app), service_client("inference", app, platform) as called:
        client = InferenceClient(called)
        listed = await client.engines()
        assert [(engine.id, engine.backend) for engine in listed.data] == [("local", "llamacpp"), ("far", "remote")]
        assert (await client.engine("far")).slots == 3
        assert (await client.capacity()).engines == 2
        assert (await client.change("local", "stop")).id == "local"
        with pytest.raises(Conflict, match="run by something else"):
            await client.change("far", "restart")
        with pytest.raises(NotFound, match="no engine 'nothing'"):
            await client.engine("nothing")
        with pytest.raises(Unprocessable):
            await client.engine("NOT AN ID")


def test_a_wrong_file_is_a_sentence_with_the_place(tmp_path: Path) -> None:
    write(tmp_path, [{**ENGINES[0], "slots": 0}])
    platform = platform_settings(tmp_path, config_dir=tmp_path)
    with pytest.raises(
        ConfigError, match=r"engines\.yaml is not right: line \d+: engines\.0\.slots: must be 1 or more"
    ):
        load_engines(platform, Settings(_env_file=None))
