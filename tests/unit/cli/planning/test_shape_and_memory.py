"""Sizes of models against published counts and numbers worked out by hand."""

import pytest

from sluice_cli.planning.accelerators import ACCELERATORS
from sluice_cli.planning.memory import activation_bytes, kv_bytes_per_token, plan_memory, sequence_bytes, weights_bytes
from sluice_cli.planning.shape import UnknownShape, dense_shape, shape_of

LLAMA_3_8B = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}
SMOLLM2 = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
MIXTRAL = {
    "model_type": "mixtral",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_local_experts": 8,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_experts_per_tok": 2,
}
MAMBA_130M = {
    "model_type": "mamba",
    "vocab_size": 50280,
    "hidden_size": 768,
    "num_hidden_layers": 24,
    "intermediate_size": 1536,
    "state_size": 16,
    "conv_kernel": 4,
    "time_step_rank": 48,
    "expand": 2,
}
JAMBA = {
    "model_type": "jamba",
    "vocab_size": 65536,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_experts": 16,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_experts_per_tok": 2,
    "attn_layer_period": 8,
    "attn_layer_offset": 4,
    "expert_layer_period": 2,
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_dt_rank": 256,
}
DEEPSEEK_V2_LITE = {
    "model_type": "deepseek_v2",
    "vocab_size": 102400,
    "hidden_size": 2048,
    "intermediate_size": 10944,
    "moe_intermediate_size": 1408,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "q_lora_rank": None,
}


@pytest.mark.parametrize(
    ("config", "published"),
    [(LLAMA_3_8B, 8_030_261_248), (SMOLLM2, 134_515_008), (MIXTRAL, 46_702_792_704), (MAMBA_130M, 129_135_360)],
)
def test_counts_are_the_published_ones(config: dict[str, object], published: int) -> None:
    assert shape_of(config).parameters == published


def test_experts_that_a_token_does_not_use_do_not_work() -> None:
    shape = shape_of(MIXTRAL)
    # six of eight experts of 3 * 4096 * 14336 in each of 32 layers rest
    assert shape.parameters - shape.active == 6 * 32 * 3 * 4096 * 14336
    assert (shape.architecture, shape.category) == ("mixture of experts", "large")


def test_jamba_has_attention_in_every_eighth_layer() -> None:
    shape = shape_of(JAMBA)
    assert (shape.architecture, shape.attention_layers, shape.layers) == ("hybrid", 4, 32)
    assert shape.parameters / 1e9 == pytest.approx(51.6, abs=0.5)  # published: 52B, 12B of them active
    assert shape.active / 1e9 == pytest.approx(12, abs=0.5)
    # 4 layers * 2 * 8 heads * 128 * 2 bytes
    assert kv_bytes_per_token(shape) == 16_384
    assert shape.state_values == 28 * 8192 * (16 + 4)


def test_latent_attention_keeps_one_vector_for_all_heads() -> None:
    shape = shape_of(DEEPSEEK_V2_LITE)
    assert shape.parameters / 1e9 == pytest.approx(15.7, abs=0.1)  # published: 15.7B, 2.4B of them active
    assert shape.active / 1e9 == pytest.approx(2.66, abs=0.1)  # the embeddings counted
    assert kv_bytes_per_token(shape) == 27 * (512 + 64) * 2


def test_a_model_without_attention_has_no_kv_cache() -> None:
    shape = shape_of(MAMBA_130M)
    assert kv_bytes_per_token(shape) == 0
    assert sequence_bytes(shape, 10) == sequence_bytes(shape, 1_000_000) == 24 * 1536 * (16 + 4) * 2


def test_kv_cache_by_hand() -> None:
    shape = shape_of(LLAMA_3_8B)
    # 32 layers * (keys, values) * 8 heads * 128 * 2 bytes
    assert kv_bytes_per_token(shape) == 131_072
    assert kv_bytes_per_token(shape, 8) == 65_536
    assert sequence_bytes(shape, 8192) == 2**30


def test_a_window_bounds_what_is_kept() -> None:
    shape = shape_of({**LLAMA_3_8B, "sliding_window": 4096})
    assert sequence_bytes(shape, 100_000) == 4096 * 131_072
    assert shape_of({**LLAMA_3_8B, "sliding_window": 4096, "use_sliding_window": False}).window is None


@pytest.mark.parametrize(
    ("billions", "category"), [(1, "small"), (6.9, "small"), (7, "medium"), (30, "large"), (100, "XL")]
)
def test_categories(billions: float, category: str) -> None:
    assert dense_shape(billions, 32, 4096, 32, 8).category == category


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UnknownShape, match="no num_attention_heads"):
        shape_of({"hidden_size": 8, "num_hidden_layers": 1})


def test_a_count_that_is_given_replaces_the_one_that_follows() -> None:
    shape = shape_of(MIXTRAL, parameters_b=46.7)
    assert shape.parameters == pytest.approx(46.7e9)
    assert shape.active / shape.parameters == pytest.approx(shape_of(MIXTRAL).active / shape_of(MIXTRAL).parameters)


def test_memory_by_hand() -> None:
    shape = shape_of(LLAMA_3_8B)
    plan = plan_memory(shape, ACCELERATORS["h100-sxm"], tokens=8192)
    assert plan.weights == weights_bytes(shape, 16) == 16_060_522_496
    assert plan.activations == activation_bytes(shape, 2048) == 16 * 4096 * 2048 * 2
    # 72 GB less 16.06 and 0.27, by a gibibyte
    assert (plan.sequences, plan.placement) == (51, "all_gpu")


def test_placements() -> None:
    shape = dense_shape(70, 80, 8192, 64, 8)
    h100, l4 = ACCELERATORS["h100-sxm"], ACCELERATORS["l4"]
    assert plan_memory(shape, h100, devices=4, tokens=4096).placement == "all_gpu"
    # 140 GB of 144: no room for a sequence of 16k and a step beside them
    assert plan_memory(shape, h100, devices=2, tokens=16_384).placement == "model_gpu_activations_cpu"
    offloaded = plan_memory(shape, l4, tokens=4096)
    assert offloaded.placement == "offload_layers"
    # (21.6 - 0.54 - 1.34) GB of layers of 1.75 GB
    assert offloaded.gpu_layers == 11
