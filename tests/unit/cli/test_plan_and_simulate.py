"""`sluice plan` and `sluice simulate` as users call them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.planning.test_shape_and_memory import LLAMA_3_8B
from typer.testing import CliRunner

from sluice_cli.app import app
from sluice_cli.platform.errors import CommandFailed


def _run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def _json(*words: str) -> Any:
    return json.loads(_run(*words, "--json"))


def test_memory_of_a_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA_3_8B))
    found = _json("plan", "memory", "--config", str(file), "--tokens", "8192")
    assert (found["parameters"], found["category"], found["kv_bytes_per_token"]) == (8_030_261_248, "medium", 131_072)
    assert found["formats"]["fp16"]["sequences"] == 51
    assert found["formats"]["int4"]["weights"] == found["formats"]["fp32"]["weights"] / 8
    assert "8.03B parameters (medium)" in _run("plan", "memory", "--config", str(file))


def test_memory_says_when_layers_have_to_be_offloaded() -> None:
    assert "of 80 stay" in _run(
        "plan", "memory", "--parameters", "70", "--layers", "80", "--width", "8192", "--heads", "64", "--device", "l4"
    )


def test_speed_names_the_largest_batch_that_keeps_to_a_target() -> None:
    found = _json("plan", "speed", "--max-tpot-ms", "8", "--batch", "1,64")
    assert [row["bound"] for row in found["batches"]] == ["memory-bound", "memory-bound"]
    largest = found["largest_batch"]
    around = _json("plan", "speed", "--batch", f"{largest},{largest + 1}")["batches"]
    assert around[0]["tpot_s"] <= 0.008 < around[1]["tpot_s"]
    assert "No batch keeps to 1 ms" in _run("plan", "speed", "--max-tpot-ms", "1")


def test_training() -> None:
    found = _json("plan", "training", "--parameters", "70")
    assert found["tokens"] == pytest.approx(1.4e12)


def test_accelerators() -> None:
    assert {row["name"]: row["tflops"] for row in _json("plan", "accelerators")}["h100-sxm"] == 989


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "memory", "--device", "abacus"), "no device 'abacus'"),
        (("plan", "speed", "--weights", "int3"), "no format 'int3'"),
        (("plan", "speed", "--batch", "one"), "whole numbers"),
        (("plan", "speed", "--batch", "0"), "at least 1"),
        (("plan", "memory", "--heads", "32", "--kv-heads", "5"), "do not go into"),
        (("plan", "training"), "exactly one"),
        (("simulate", "batching", "--step-tokens", "8"), "at least --continuous-batch"),
        (("simulate", "quantisation", "--columns", "200"), "multiple of 128"),
        (("simulate", "sampling", "1,x"), "x"),
        (("simulate", "sampling", "1,2", "--top-p", "0"), "top_p"),
    ],
)
def test_mistakes_get_a_sentence(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_files_that_are_no_configuration_or_trace_are_named(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    for content, words, said in (
        ("{", ("plan", "memory", "--config"), "is no JSON"),
        ("[]", ("plan", "memory", "--config"), "no JSON object"),
        ("{}", ("plan", "memory", "--config"), "has no hidden_size"),
        ("{}", ("simulate", "batching", "--trace"), "line 1"),
    ):
        file.write_text(content)
        with pytest.raises(CommandFailed, match=said):
            CliRunner().invoke(app, [*words, str(file)], catch_exceptions=False)


def test_batching_shows_the_difference() -> None:
    found = _json("simulate", "batching", "--requests", "80", "--answer", "32", "--rate", "60", "--dynamic-batch", "8")
    assert (
        found["continuous"]["tokens_per_second"]
        > found["dynamic"]["tokens_per_second"]
        > found["single"]["tokens_per_second"]
    )
    assert found["continuous"]["waste"] == 0 < found["grouped"]["waste"] < found["dynamic"]["waste"]


def test_batching_replays_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text("\n".join(json.dumps({"at": at, "prompt_tokens": 100, "completion_tokens": 5}) for at in range(7)))
    assert _run("simulate", "batching", "--trace", str(file)).startswith("7 requests, 5 tokens an answer")


def test_speculation_keeps_the_distribution() -> None:
    found = _json("simulate", "speculation", "--tokens", "2000")
    assert found["p-value (below 0.001: not the target's distribution)"] > 0.001
    assert found["tokens a step"] == pytest.approx(found["tokens a step by the formula"], rel=0.1)


def test_quantisation_orders_the_ways() -> None:
    found = _json("simulate", "quantisation", "--rows", "32", "--columns", "256")
    errors = {row["way"]: row["output_error"] for row in found["ways"]}
    assert errors["INT8, a scale for each row"] < errors["INT4, groups of 32"] < errors["INT4, one scale"]
    assert max(row["largest_error_in_steps"] for row in found["ways"]) <= 0.5 + 1e-9


def test_sampling_cache_and_pipeline() -> None:
    table = _json("simulate", "sampling", "3,2,1", "--top-k", "2", "--draws", "200")
    assert [row["after"] > 0 for row in table] == [True, True, False]
    assert table[2]["drawn"] == 0
    found = _json("simulate", "cache", "--tokens", "24")
    assert max(row["largest_difference"] for row in found["cache"]) < 1e-9
    assert found["blockwise_difference"] < 1e-12
    cut = _json("simulate", "tensor", "--devices", "4", "--width", "64", "--inner", "256")
    assert cut["largest difference to the whole layer, relative"] < 1e-12
    assert cut["weights of a device"] == cut["weights of the whole layer"] / 4
    with pytest.raises(CommandFailed, match="256 cannot be cut evenly over 3"):
        _run("simulate", "tensor", "--devices", "3", "--width", "64", "--inner", "256")
    assert _json("simulate", "pipeline", "--stages", "3", "--micro-batches", "6")["bubble"] == pytest.approx(2 / 8)


def test_autoscaling_compares_policies_and_draws_them(tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    words = (
        "simulate",
        "autoscaling",
        "--requests",
        "600",
        "--rate",
        "10",
        "--wave",
        "0",
        "--policy",
        "fixed=1",
        "--policy",
        "queue=4,ttft=2",
    )
    found = _json(*words, "--svg", str(chart), "--cold-start", "20")
    assert found["fixed=1"]["most_replicas"] == 1 < found["queue=4,ttft=2"]["most_replicas"]
    assert found["fixed=1"]["attained"] < found["queue=4,ttft=2"]["attained"]
    assert chart.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("speed=3", "no signal 'speed'"),
        ("queue", "'queue' is none"),
        ("fixed=1.5", "no signal 'fixed'"),
        ("kv=0", "above 0"),
    ],
)
def test_policies_that_are_none_are_named(policy: str, said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        CliRunner().invoke(
            app, ["simulate", "autoscaling", "--requests", "5", "--policy", policy], catch_exceptions=False
        )
