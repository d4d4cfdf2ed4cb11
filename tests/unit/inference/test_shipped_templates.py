"""The chat templates in deploy/config write exactly what the models were trained with, rendered as transformers and vLLM do."""

from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sluice_inference.domain.chat_template import marks, misfit

FOLDER = Path(__file__).resolve().parents[3] / "deploy/config/chat-templates"
SYSTEM = {"role": "system", "content": "Be brief."}
ASKED = {"role": "user", "content": "Hi"}
SAID = {"role": "assistant", "content": "Hello."}
AGAIN = {"role": "user", "content": "Bye"}


def _rendered(name: str, *messages: dict[str, str], prompt: bool = True) -> str:
    def refuse(sentence: str) -> Any:
        raise TemplateError(sentence)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    template = environment.from_string((FOLDER / f"{name}.jinja").read_text(encoding="utf-8"))
    return template.render(messages=messages, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")


def test_chatml() -> None:
    assert _rendered("chatml", SYSTEM, ASKED) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert _rendered("chatml", ASKED, SAID, prompt=False) == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
    )


def test_llama_2() -> None:
    assert _rendered("llama-2", ASKED) == "<s>[INST] Hi [/INST]"
    assert _rendered("llama-2", SYSTEM, ASKED, SAID, AGAIN) == (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Bye [/INST]"
    )


def test_alpaca() -> None:
    opening = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    )
    assert _rendered("alpaca", ASKED) == f"{opening}\n\n### Instruction:\nHi\n\n### Response:\n"
    assert _rendered("alpaca", SYSTEM, ASKED, SAID, AGAIN) == (
        "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello.</s>\n\n### Instruction:\nBye\n\n### Response:\n"
    )


@pytest.mark.parametrize("name", ["llama-2", "alpaca"])
def test_roles_that_a_template_does_not_know_are_refused(name: str) -> None:
    with pytest.raises(TemplateError, match="takes a system message"):
        _rendered(name, ASKED, {"role": "tool", "content": "4"})


def test_llama_2_takes_turns() -> None:
    with pytest.raises(TemplateError, match="in turns"):
        _rendered("llama-2", ASKED, AGAIN)


def test_the_check_of_templates_knows_their_marks() -> None:
    text = (FOLDER / "chatml.jinja").read_text(encoding="utf-8")
    assert marks(text) == ("<|im_start|>", "<|im_end|>")
    assert misfit(text, {"<|im_start|>", "<|im_end|>"}) is None
    assert "are no tokens of the model" in (misfit(text, {"<s>"}) or "")
