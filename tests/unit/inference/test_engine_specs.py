"""engines.yaml: what is accepted, and which command line follows from it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sluice_inference.domain.commands import llamacpp_command, vllm_command
from sluice_inference.domain.specs import EnginesFile, LlamaCppSpec, VllmSpec


def llama(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "backend": "llamacpp", "model": "m", "model_package": "some_wheel", **changes}


def vllm(**changes: Any) -> dict[str, Any]:
    return {"id": "v", "backend": "vllm", "model": "llama", "model_path": "/models/llama", **changes}


def options(arguments: tuple[str, ...]) -> dict[str, str]:
    return {
        name: value if not value.startswith("--") else ""
        for name, value in zip(arguments, (*arguments[1:], "--"), strict=True)
        if name.startswith("--")
    }


@pytest.mark.parametrize(
    ("engines", "word"),
    [
        ([], "at least 1"),
        ([llama(), llama(port=8091)], "same id"),
        ([llama(), vllm(port=8090)], "same port"),
        ([llama(port=70_000)], "65535"),
        ([llama(model_package=None)], "exactly one"),
        ([llama(model_path="/x.gguf")], "exactly one"),
        ([llama(slots=0)], "greater than or equal to 1"),
        ([llama(context_tokens=10)], "256"),
        ([llama(gpu=1)], "Extra inputs"),
        ([llama(id="../x")], "pattern"),
        ([llama(backend="tgi")], "does not match any of the expected tags"),
        ([vllm(model_path="--trust-remote-code")], "hyphen"),
        ([vllm(gpu_memory_utilization=1.5)], "less than or equal to 1"),
        ([vllm(tool_call_parser="hermes; rm")], "pattern"),
        ([{"id": "r", "backend": "remote", "model": "m", "base_url": "ftp://x"}], "pattern"),
    ],
)
def test_a_wrong_file_is_refused_with_a_reason(engines: list[dict[str, Any]], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        EnginesFile.model_validate({"engines": engines})


def test_llama_cpp_gets_the_context_of_a_slot_and_the_cores_it_may_use() -> None:
    spec = LlamaCppSpec.model_validate(llama(context_tokens=2048, slots=3))
    command = llamacpp_command(spec, python="py", model_file="/m.gguf", host="0.0.0.0", cores=64)
    assert command.arguments[:3] == ("py", "-m", "sluice_inference.engines.llamacpp")
    found = options(command.arguments)
    assert (found["--context-tokens"], found["--slots"], found["--threads"]) == ("2048", "3", "8")
    assert (found["--model"], found["--alias"], found["--host"]) == ("/m.gguf", "m", "0.0.0.0")
    assert "--lifeline" in found
    assert ("OMP_WAIT_POLICY", "passive") in command.environment


@pytest.mark.parametrize(("threads", "cores", "given"), [(0, 2, "2"), (0, 0, "1"), (5, 2, "5")])
def test_threads_follow_the_cores_unless_they_are_given(threads: int, cores: int, given: str) -> None:
    spec = LlamaCppSpec.model_validate(llama(threads=threads))
    command = llamacpp_command(spec, python="py", model_file="/m.gguf", host="127.0.0.1", cores=cores)
    assert options(command.arguments)["--threads"] == given


def test_vllm_command_line_holds_every_setting() -> None:
    spec = VllmSpec.model_validate(
        vllm(
            python="/opt/vllm/bin/python",
            context_tokens=16_384,
            slots=32,
            gpu_memory_utilization=0.9,
            tensor_parallel_size=2,
            dtype="bfloat16",
            quantization="fp8",
            enforce_eager=True,
            lora=True,
            active_adapters=2,
            max_adapters=4,
            pipeline_parallel_size=1,
            batch_tokens=4096,
            chunked_prefill=True,
            kv_cache_dtype="fp8",
            cpu_offload_gb=2,
            speculation={"method": "ngram", "tokens": 3},
            reasoning_parser="qwen3",
            chat_template="/models/chat.jinja",
            tool_call_parser="hermes",
            compact_json=True,
            seed=7,
        )
    )
    command = vllm_command(spec, python="py", host="127.0.0.1")
    mark = command.arguments.index("--")
    assert command.arguments[:mark] == ("py", "-m", "sluice_inference.engines.lifeline")
    engine = command.arguments[mark + 1 :]
    assert engine[:3] == ("/opt/vllm/bin/python", "-m", "vllm.entrypoints.openai.api_server")
    assert options(engine) == {
        "--model": "/models/llama",
        "--served-model-name": "llama",
        "--host": "127.0.0.1",
        "--port": "8000",
        "--max-num-seqs": "32",
        "--tensor-parallel-size": "2",
        "--pipeline-parallel-size": "1",
        "--kv-cache-dtype": "fp8",
        "--enable-chunked-prefill": "",
        "--max-num-batched-tokens": "4096",
        "--cpu-offload-gb": "2.0",
        "--reasoning-parser": "qwen3",
        "--chat-template": "/models/chat.jinja",
        "--structured-outputs-config": '{"backend": "xgrammar", "disable_any_whitespace": true}',
        "--speculative-config": '{"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}',
        "--max-loras": "2",
        "--max-cpu-loras": "4",
        "--dtype": "bfloat16",
        "--enable-prefix-caching": "",
        "--max-model-len": "16384",
        "--gpu-memory-utilization": "0.9",
        "--quantization": "fp8",
        "--seed": "7",
        "--enforce-eager": "",
        "--enable-lora": "",
        "--max-lora-rank": "16",
        "--enable-auto-tool-choice": "",
        "--tool-call-parser": "hermes",
    }
    assert ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True") in command.environment


def test_a_model_that_is_only_traced_is_not_compiled() -> None:
    spec = VllmSpec.model_validate(vllm(pipeline_parallel_size=2, trace_only=True))
    given = options(vllm_command(spec, python="py", host="127.0.0.1").arguments)
    assert (given["--pipeline-parallel-size"], given["--compilation-config"]) == (
        "2",
        '{"mode": 2, "backend": "eager"}',
    )
    plain = options(vllm_command(VllmSpec.model_validate(vllm()), python="py", host="127.0.0.1").arguments)
    assert "--compilation-config" not in plain


def test_vllm_command_line_leaves_out_what_is_not_set() -> None:
    command = vllm_command(VllmSpec.model_validate(vllm(prefix_caching=False)), python="py", host="127.0.0.1")
    assert "--no-enable-prefix-caching" in command.arguments
    for absent in ("--max-model-len", "--quantization", "--enable-lora", "--tool-call-parser", "--enforce-eager"):
        assert absent not in command.arguments
    assert all(name != "VLLM_ALLOW_RUNTIME_LORA_UPDATING" for name, _ in command.environment)
    assert ("HF_HUB_OFFLINE", "1") in command.environment
    fetching = vllm_command(VllmSpec.model_validate(vllm(downloads=True)), python="py", host="127.0.0.1")
    assert all(name != "HF_HUB_OFFLINE" for name, _ in fetching.environment)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slots": 64, "batch_tokens": 32}, "below slots"),
        ({"chunked_prefill": False, "batch_tokens": 512, "context_tokens": 4096}, "must reach"),
        ({"active_adapters": 9}, "above max_adapters"),
        ({"speculation": {"method": "draft_model"}}, "needs 'model'"),
        ({"speculation": {"method": "ngram", "model": "small"}}, "leave 'model' out"),
        ({"speculation": {"method": "ngram"}, "pipeline_parallel_size": 2}, "tensor_parallel_size"),
        ({"trace_only": True, "enforce_eager": True}, "does not trace"),
        ({"max_lora_rank": 17}, "max_lora_rank"),
        ({"gpus": [0, 0], "tensor_parallel_size": 2}, "one twice"),
        ({"gpus": [0, 1]}, "data_parallel_size is 1"),
        ({"gpus": [0], "energy_of": ["gpu:1"]}, "gpu:1, which is not among"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_with_what_to_change(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        VllmSpec.model_validate(vllm(**changes))
    assert said in str(refused.value)


def test_replicas_on_one_host_have_their_own_gpus() -> None:
    split = vllm(gpus=[2, 3, 0, 1], tensor_parallel_size=2, data_parallel_size=2, energy_of=["gpu:0", "cpu"])
    command = vllm_command(VllmSpec.model_validate(split), python="py", host="127.0.0.1")
    assert options(command.arguments)["--data-parallel-size"] == "2"
    assert ("CUDA_VISIBLE_DEVICES", "2,3,0,1") in command.environment
    assert ("CUDA_DEVICE_ORDER", "PCI_BUS_ID") in command.environment
    alone = vllm_command(VllmSpec.model_validate(vllm()), python="py", host="127.0.0.1")
    assert "--data-parallel-size" not in alone.arguments
    assert not {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} & {name for name, _ in alone.environment}


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"gpus": [0]}, {"gpus": [1]}, None),
        ({"gpus": [0], "gpu_memory_utilization": 0.45}, {"gpus": [0], "gpu_memory_utilization": 0.45}, None),
        ({"gpus": [0]}, {"gpus": [0], "gpu_memory_utilization": 0.3}, "on GPU 0 take 1.22 of its memory"),
    ],
)
def test_two_engines_do_not_take_more_of_a_gpu_than_it_has(
    one: dict[str, Any], other: dict[str, Any], said: str | None
) -> None:
    engines = {"engines": [vllm(**one), vllm(id="w", port=8001, **other)]}
    if said is None:
        assert len(EnginesFile.model_validate(engines).engines) == 2
        return
    with pytest.raises(ValidationError, match=said):
        EnginesFile.model_validate(engines)


def test_an_engine_that_listens_everywhere_is_asked_on_loopback() -> None:
    spec = LlamaCppSpec.model_validate(llama(host="0.0.0.0", port=9000))
    assert spec.base_url == "http://127.0.0.1:9000/v1"


def test_the_shipped_file_is_right() -> None:
    import yaml

    from sluice.settings import expand_variables

    path = Path(__file__).parents[3] / "deploy" / "config" / "engines.yaml"
    described = EnginesFile.model_validate(yaml.safe_load(expand_variables(path.read_text(), str(path))))
    assert [spec.id for spec in described.engines] == ["smollm2"]
