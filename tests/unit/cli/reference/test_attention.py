"""Attention, the KV cache and a small transformer, against numbers worked out by hand and against each other."""

import numpy as np
import pytest

from sluice_cli.reference.attention import HeadedAttention, attention, blockwise_attention, causal_mask, softmax
from sluice_cli.reference.cache import LayerCache
from sluice_cli.reference.decoding import generate
from sluice_cli.reference.transformer import Shape, Transformer, layer_norm


def _numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_softmax_of_large_scores_does_not_overflow() -> None:
    assert softmax(np.array([1000.0, 1000.0 + np.log(3.0)])) == pytest.approx([0.25, 0.75])


def test_attention_by_hand() -> None:
    # scores q·k/√4 = [ln 3, 0], so the weights are 3/4 and 1/4
    q = np.array([[2.0, 0.0, 0.0, 0.0]])
    k = np.array([[np.log(3.0), 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    v = np.array([[4.0, 0.0], [0.0, 8.0]])
    assert attention(q, k, v)[0] == pytest.approx([3.0, 2.0])


def test_a_causal_query_sees_itself_and_what_is_before() -> None:
    assert causal_mask(2, 3).tolist() == [[True, True, False], [True, True, True]]
    q, k, v = _numbers(5, 4), _numbers(5, 4, seed=1), _numbers(5, 3, seed=2)
    out = attention(q, k, v, causal_mask(5, 5))
    assert out[0] == pytest.approx(v[0])
    changed = v.copy()
    changed[4] += 100.0
    assert attention(q, k, changed, causal_mask(5, 5))[:4] == pytest.approx(out[:4])


def test_who_may_look_at_nothing_gets_zeros() -> None:
    out = attention(_numbers(1, 4), _numbers(3, 4), _numbers(3, 2), np.zeros((1, 3), dtype=np.bool_))
    assert out.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("block", [1, 3, 7, 64])
@pytest.mark.parametrize("causal", [True, False])
def test_block_by_block_is_exact(block: int, causal: bool) -> None:
    q, k, v = 10 * _numbers(2, 13, 8), 10 * _numbers(2, 17, 8, seed=1), _numbers(2, 17, 5, seed=2)
    whole = attention(q, k, v, causal_mask(13, 17) if causal else None)
    assert np.abs(blockwise_attention(q, k, v, block=block, causal=causal) - whole).max() < 1e-12


def test_a_softmax_of_each_block_would_be_wrong() -> None:
    q, k, v = _numbers(4, 8), _numbers(6, 8, seed=1), _numbers(6, 5, seed=2)
    naive = sum(attention(q, k[at : at + 3], v[at : at + 3]) for at in (0, 3)) / 2
    assert np.abs(naive - blockwise_attention(q, k, v, block=3)).max() > 1e-3


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_shared_heads_are_multi_head_attention_with_repeated_weights(kv_heads: int) -> None:
    width, heads, size = 16, 4, 4
    wq, wo = _numbers(width, heads * size), _numbers(heads * size, width, seed=3)
    wk, wv = _numbers(width, kv_heads * size, seed=1), _numbers(width, kv_heads * size, seed=2)

    def repeated(weights: np.ndarray) -> np.ndarray:
        return np.repeat(weights.reshape(width, kv_heads, size), heads // kv_heads, axis=1).reshape(width, -1)

    x, mask = _numbers(2, 6, width, seed=4), causal_mask(6, 6)
    shared = HeadedAttention(heads, kv_heads, wq, wk, wv, wo)(x, mask)
    full = HeadedAttention(heads, heads, wq, repeated(wk), repeated(wv), wo)(x, mask)
    assert np.abs(shared - full).max() < 1e-12


def test_heads_that_cannot_be_shared_evenly_are_refused() -> None:
    with pytest.raises(ValueError, match="4 query heads cannot be shared evenly by 3"):
        HeadedAttention(4, 3, *(np.zeros((4, 4)) for _ in range(4)))


def test_the_cache_refuses_what_does_not_fit() -> None:
    cache = LayerCache(1, 2, 3, 4)
    cache.update(np.ones((1, 2, 2, 4)), np.ones((1, 2, 2, 4)))
    assert (cache.length, cache.nbytes) == (2, 2 * 2 * 3 * 4 * 8)
    with pytest.raises(ValueError, match="holds 3 positions; 4 are too many"):
        cache.update(np.ones((1, 2, 2, 4)), np.ones((1, 2, 2, 4)))


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_with_a_cache_the_logits_are_the_same(kv_heads: int) -> None:
    model = Transformer.random(Shape(kv_heads=kv_heads), seed=1)
    tokens = np.random.default_rng(2).integers(0, 64, (2, 12))
    caches = model.new_cache(2, 12)
    pieces = [model.logits(tokens[:, :5], caches=caches)]
    pieces += [model.logits(tokens[:, at : at + 1], caches=caches) for at in range(5, 12)]
    assert np.abs(np.concatenate(pieces, axis=1) - model.logits(tokens)).max() < 1e-9


def test_layer_norm_by_hand() -> None:
    assert layer_norm(np.array([1.0, 3.0])) == pytest.approx([-1.0, 1.0], abs=1e-4)


def test_a_later_token_changes_no_earlier_logits() -> None:
    model = Transformer.random(Shape(), seed=1)
    tokens = np.arange(8)[None]
    other = tokens.copy()
    other[0, 7] = 50
    assert np.array_equal(model.logits(tokens)[:, :7], model.logits(other)[:, :7])
    assert not np.array_equal(model.logits(tokens)[:, 7], model.logits(other)[:, 7])


def test_a_batch_answers_as_each_prompt_alone() -> None:
    model = Transformer.random(Shape(), seed=5)
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11]]

    def greedy(logits: np.ndarray) -> int:
        return int(np.argmax(logits))

    alone = [generate(model, [prompt], greedy, max_new_tokens=12)[0] for prompt in prompts]
    assert generate(model, prompts, greedy, max_new_tokens=12) == alone
    # a token that ends one of them early leaves the others as they are
    stop = alone[0][3]
    cut = [answer[: answer.index(stop)] if stop in answer else answer for answer in alone]
    assert len(cut[0]) <= 3
    assert generate(model, prompts, greedy, max_new_tokens=12, stop=stop) == cut


def test_prompts_that_cannot_be_continued_are_refused() -> None:
    model = Transformer.random(Shape(context=16), seed=0)
    with pytest.raises(ValueError, match="exceed the model's context of 16"):
        generate(model, [[1] * 10], lambda _: 0, max_new_tokens=7)
    with pytest.raises(ValueError, match="no empty one"):
        generate(model, [[1], []], lambda _: 0, max_new_tokens=1)
