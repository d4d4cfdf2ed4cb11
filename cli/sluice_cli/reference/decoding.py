"""Generating for several prompts at once, as an engine's batch does."""

from collections.abc import Callable, Sequence

import numpy as np

from sluice_cli.reference.attention import Floats
from sluice_cli.reference.transformer import Transformer

Choose = Callable[[Floats], int]


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    choose: Choose,
    *,
    max_new_tokens: int = 100,
    stop: int | None = None,
) -> list[list[int]]:
    """Return what follows each prompt, at most `max_new_tokens` or until `stop`, which is left out (F251).

    Prompts of different lengths are padded on the left and masked; each sequence ends by itself, and the batch when all have. Each answer is the one
    that its prompt would get alone. `choose` takes the logits (vocabulary,) of the next token and returns the token.

    Raises:
        ValueError: a prompt is empty, or does not fit into the model's context together with its answer.
    """
    longest = max(map(len, prompts), default=0)
    if not prompts or not all(prompts):
        raise ValueError("Give at least one prompt, and no empty one.")
    if longest + max_new_tokens > model.shape.context:
        raise ValueError(
            f"The longest prompt and {max_new_tokens} new tokens exceed the model's context of {model.shape.context}."
        )
    padding = np.array([longest - len(prompt) for prompt in prompts], dtype=np.int64)
    tokens = np.array([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], dtype=np.int64)
    caches = model.new_cache(len(prompts), longest + max_new_tokens)
    answers: list[list[int]] = [[] for _ in prompts]
    running = set(range(len(prompts)))
    for _ in range(max_new_tokens):
        logits = model.logits(tokens, padding, caches)[:, -1]
        tokens = np.zeros((len(prompts), 1), dtype=np.int64)
        for index in sorted(running):
            token = choose(logits[index])
            if token == stop:
                running.discard(index)
            else:
                answers[index].append(token)
                tokens[index] = token
        if not running:
            break
    return answers
