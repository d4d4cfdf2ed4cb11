"""LiteLLM's proxy with one model and one key, otherwise its defaults, from its own virtual environment."""

from contextlib import contextmanager

from tests.bench.children import Child
from tests.bench.environments import LITELLM
from tests.bench.loadgen import Target
from tests.bench.mock import MODEL
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, answers

from sluice.testing import free_port

KEY = "sk-bench"

_CONFIG = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: {base_url}
      api_key: upstream
general_settings:
  master_key: {key}
litellm_settings:
  telemetry: false
"""


def missing(_place: Place) -> str | None:
    return LITELLM.missing()


@contextmanager
def open_litellm(place: Place) -> Opened:
    port = free_port()
    config = place.folder / "litellm.yaml"
    config.write_text(_CONFIG.format(model=MODEL, base_url=place.upstream.base_url, key=KEY))
    command = [
        str(LITELLM.path),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # its price list from its wheel, not from the network
    log = place.logs / "litellm.log"
    with Child(
        "LiteLLM", command, core=place.gateway_core, log=log, environment=environment, folder=place.folder
    ) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/health/liveliness"), READY_SECONDS)
        yield Gateway(Target(port, headers=(f"Authorization: Bearer {KEY}",)), process)
