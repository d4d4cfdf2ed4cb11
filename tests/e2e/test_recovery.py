"""What comes back by itself when a part is killed under the running platform."""

import psutil
import pytest
from openai import OpenAIError

from sluice.testing import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def _engines(platform) -> list[psutil.Process]:
    inference = psutil.Process(platform.inference_pid())
    return [child for child in inference.children(recursive=True) if "llamacpp" in " ".join(child.cmdline())]


def test_the_engine_comes_back_after_a_kill(platform) -> None:
    (engine,) = _engines(platform)
    engine.kill()

    def all_answer() -> bool:
        client = platform.openai()
        ask = [{"role": "user", "content": "hi"}]
        try:
            done = [
                client.chat.completions.create(model=model, messages=ask, max_tokens=4)
                for model in ("smollm2", "recorded")
            ]
        except OpenAIError:
            return False
        return all(answer.choices for answer in done)

    wait_until(all_answer, seconds=60, every=1.0, what="an answer after the engine was killed")
    (fresh,) = _engines(platform)
    assert fresh.pid != engine.pid
