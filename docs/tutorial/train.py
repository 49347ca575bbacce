"""Train a small character transformer with Lion, Tiger, Muon and AdamW, and draw the loss curves.

    python docs/tutorial/train.py [--steps 250] [--picture docs/_static/tutorial.svg]

The text is the language reference that every Python ships (``pydoc_data.topics``); its last tenth is kept to validate.
The model and its gradients are torch's, on the CPU; the optimizers update its parameters in place.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import nn

import signopt

CONTEXT, WIDTH, HEADS, LAYERS, BATCH = 64, 96, 4, 2, 24
TEXT = "\n".join(topics[name] for name in sorted(topics))
ALPHABET = sorted(set(TEXT))


class Block(nn.Module):
    """Causal attention and a feed-forward layer, each on a residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        batch, length, _ = x.shape
        heads = self.mix(self.attention_norm(x)).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(nn.functional.gelu(self.up(self.feed_norm(x))))


class Transformer(nn.Module):
    """Characters in, scores of the next character out."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embeddings, self.places = nn.Embedding(len(ALPHABET), WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(ALPHABET))

    def forward(self, tokens):
        x = self.embeddings(tokens) + self.places.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def data():
    """The text as indices into the alphabet: what is trained on, and what is kept for validation."""
    places = {character: place for place, character in enumerate(ALPHABET)}
    tokens = torch.tensor([places[character] for character in TEXT])
    cut = len(tokens) * 9 // 10
    return tokens[:cut], tokens[cut:]


def batches(tokens, rng, steps):
    """Windows at random places, and the same windows one character later."""
    for _ in range(steps):
        starts = torch.from_numpy(rng.integers(0, len(tokens) - CONTEXT - 1, BATCH))
        windows = tokens[starts[:, None] + torch.arange(CONTEXT + 1)]
        yield windows[:, :-1], windows[:, 1:]


def loss_of(model, inputs, targets):
    """The mean cross-entropy of the next character, in nats."""
    return nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def schedule(steps):
    """Warm up over a twentieth of the run, then go down in a straight line."""
    return {max(steps // 20, 1): 1.0, steps: 0.0}


def hidden_matrices(named):
    """What Muon is for: the weights of the blocks, and not what stands before or behind them."""
    return {name: p for name, p in named.items() if p.ndim == 2 and name.startswith("blocks")}


def tiger(named, steps):
    """Tiger reads roles from names, but torch calls the scale of a norm its weight."""
    roles = {name: "scale" for name in named if name.endswith("norm.weight")}
    return signopt.Tiger(named, lr=2e-2, weight_decay=0.1, roles=roles, schedule=schedule(steps))


def muon_and_lion(named, steps, decay="plain"):
    """Muon for the matrices of the blocks, Lion for everything else, as one optimizer."""
    matrices = hidden_matrices(named)
    rest = {name: p for name, p in named.items() if name not in matrices}
    return signopt.Groups(
        matrices=signopt.Muon(matrices, lr=0.02, weight_decay=0.1, decay=decay, schedule=schedule(steps)),
        rest=signopt.Lion(rest, lr=1e-3, weight_decay=0.1, schedule=schedule(steps)),
    )


OPTIMIZERS = {
    "Lion": lambda named, steps: signopt.Lion(named, lr=1e-3, weight_decay=0.1, schedule=schedule(steps)),
    "Tiger": tiger,
    "Muon + Lion": muon_and_lion,
}


def train(name, steps, seed=0, watch=None):
    """The losses of each step, and that on the validation text at the end; ``watch`` is called with the parameters."""
    train_tokens, kept_tokens = data()
    model, rng, losses = Transformer(seed), np.random.default_rng(seed), []
    named = dict(model.named_parameters())
    step = torch_adamw(model, steps) if name == "AdamW" else signopt_step(name, named, steps)
    for inputs, targets in batches(train_tokens, rng, steps):
        loss = loss_of(model, inputs, targets)
        model.zero_grad()
        loss.backward()
        step()
        losses.append(float(loss.detach()))
        if watch is not None:
            watch(named)
    with torch.no_grad():
        kept = [float(loss_of(model, *batch)) for batch in batches(kept_tokens, np.random.default_rng(1), 20)]
    return losses, float(np.mean(kept))


def signopt_step(name, named, steps):
    """One step of one of this library's optimizers on the gradients that the parameters hold."""
    optimizer = OPTIMIZERS[name](named, steps)
    return lambda: optimizer.step({each: p.grad for each, p in named.items()})


def torch_adamw(model, steps):
    """The yardstick, with the same schedule."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    factors = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: signopt.schedules.piecewise_linear(schedule(steps), step)
    )

    def step():
        optimizer.step()
        factors.step()

    return step


def smooth(losses, width=20):
    """A running mean, shorter at the start."""
    sums = np.cumsum(losses)
    return [(sums[i] - (sums[i - width] if i >= width else 0)) / min(i + 1, width) for i in range(len(losses))]


def draw(runs, path):
    """One curve for each optimizer."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "signopt", "font.size": 10, "axes.grid": True, "grid.alpha": 0.3})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.4, 3.8), layout="constrained")
    for (name, (losses, kept)), colour in zip(runs.items(), ("#0072b2", "#009e73", "#d55e00", "#777777"), strict=True):
        axes.plot(smooth(losses), color=colour, label=f"{name}: {kept:.2f}")
    axes.set(xlabel="steps", ylabel="loss, nats a character", ylim=(1.0, 4.0))
    axes.legend(title="on text not trained on", fontsize=9, title_fontsize=9)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Train with each, print a line for each, draw if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    runs = {}
    for name in (*OPTIMIZERS, "AdamW"):
        runs[name] = train(name, options.steps)
        print(f"{name}: loss {smooth(runs[name][0])[-1]:.3f}, on text not trained on {runs[name][1]:.3f}", flush=True)
    if options.picture:
        draw(runs, options.picture)


if __name__ == "__main__":
    main()
