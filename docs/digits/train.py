"""Train a two-layer network on handwritten digits with Lion, Tiger, Muon and AdamW, and draw the loss curves.

    python docs/digits/train.py [--picture docs/_static/digits.svg] [--norms docs/_static/digits-norms.svg]

Everything is NumPy: the network, its gradients, and the updates in place. The data are the 1 797 images of 8 × 8 pixels
that scikit-learn ships; every fourth image is kept for the test. AdamW is written out below as the yardstick.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import signopt

HIDDEN, BATCH, EPOCHS = 64, 64, 60


class AdamW:
    """Loshchilov & Hutter 2019, with the interface of signopt's optimizers."""

    def __init__(self, params, *, lr=1e-2, betas=(0.9, 0.999), weight_decay=0.01, epsilon=1e-8):
        self.params, self.lr, self.betas, self.weight_decay, self.epsilon = params, lr, betas, weight_decay, epsilon
        self.first = {name: np.zeros_like(param) for name, param in params.items()}
        self.second = {name: np.zeros_like(param) for name, param in params.items()}
        self.steps = 0

    def step(self, grads):
        self.steps += 1
        beta1, beta2 = self.betas
        for name, param in self.params.items():
            first, second, grad = self.first[name], self.second[name], grads[name]
            first += (1 - beta1) * (grad - first)
            second += (1 - beta2) * (grad * grad - second)
            mean = first / (1 - beta1**self.steps)
            scale = np.sqrt(second / (1 - beta2**self.steps)) + self.epsilon
            param -= self.lr * (mean / scale + self.weight_decay * param)


def muon_and_lion(params, decay="plain", weight_decay=0.1):
    """Muon for the kernels, Lion for the biases, as one optimizer."""
    kernels = {name: param for name, param in params.items() if param.ndim == 2}
    biases = {name: param for name, param in params.items() if param.ndim < 2}
    return signopt.Groups(
        kernels=signopt.Muon(kernels, lr=0.02, weight_decay=weight_decay, decay=decay, schedule={0: 1.0, 1_300: 0.0}),
        biases=signopt.Lion(biases, lr=1e-3),
    )


OPTIMIZERS = {
    "Lion": lambda params: signopt.Lion(params, lr=1e-3, weight_decay=0.1),
    "Tiger": lambda params: signopt.Tiger(params, lr=5e-3, weight_decay=0.1, schedule={50: 1.0, 1_300: 0.0}),
    "Muon + Lion": muon_and_lion,
    "AdamW": AdamW,
}
DECAYS = {
    "no decay": lambda params: muon_and_lion(params, weight_decay=0.0),
    "plain decay": lambda params: muon_and_lion(params, weight_decay=0.5),
    "spectral decay": lambda params: muon_and_lion(params, decay="spectral", weight_decay=0.5),
}


def data():
    """Training and test images, scaled to [0, 1], with their labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    test = np.arange(len(images)) % 4 == 0
    return images[~test], labels[~test], images[test], labels[test]


def network(seed=0):
    """He-initialised weights; biases at zero."""
    rng = np.random.default_rng(seed)
    widths = {"hidden": (64, HIDDEN), "output": (HIDDEN, 10)}
    params = {}
    for layer, (fan_in, fan_out) in widths.items():
        params[f"{layer}/kernel"] = (rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)).astype(np.float32)
        params[f"{layer}/bias"] = np.zeros(fan_out, np.float32)
    return params


def forward(params, images):
    """The hidden activations and the probabilities of the ten digits."""
    hidden = np.maximum(images @ params["hidden/kernel"] + params["hidden/bias"], 0)
    logits = hidden @ params["output/kernel"] + params["output/bias"]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return hidden, exponentials / exponentials.sum(axis=1, keepdims=True)


def loss_and_gradients(params, images, labels):
    """Cross-entropy and its gradient in every parameter."""
    hidden, probabilities = forward(params, images)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels] + 1e-12).mean()
    on_logits = probabilities.copy()
    on_logits[rows, labels] -= 1
    on_logits /= len(labels)
    on_hidden = (on_logits @ params["output/kernel"].T) * (hidden > 0)
    return loss, {
        "hidden/kernel": images.T @ on_hidden,
        "hidden/bias": on_hidden.sum(axis=0),
        "output/kernel": hidden.T @ on_logits,
        "output/bias": on_logits.sum(axis=0),
    }


def train(name, epochs=EPOCHS, seed=0, optimizers=OPTIMIZERS, watch=None):
    """The mean training loss of each epoch, and the accuracy on the test images; ``watch`` sees the parameters."""
    train_images, train_labels, test_images, test_labels = data()
    params = network(seed)
    optimizer = optimizers[name](params)
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(epochs):
        order = rng.permutation(len(train_labels))
        batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        epoch = []
        for batch in batches:
            loss, grads = loss_and_gradients(params, train_images[batch], train_labels[batch])
            optimizer.step(grads)
            epoch.append(loss)
        losses.append(float(np.mean(epoch)))
        if watch is not None:
            watch(params)
    accuracy = float((forward(params, test_images)[1].argmax(axis=1) == test_labels).mean())
    return losses, accuracy


def singular_values(name, epochs=EPOCHS):
    """The singular values of the hidden layer after each epoch, largest first, and the accuracy on the test images."""
    seen = []
    _, accuracy = train(
        name,
        epochs,
        optimizers=DECAYS,
        watch=lambda params: seen.append(np.linalg.svd(params["hidden/kernel"], compute_uv=False)),
    )
    return np.array(seen), accuracy


def draw_norms(picture):
    """Above, the largest singular value of the hidden layer over the run; below, all of them at its end."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "signopt"
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(4.4, 5.8), layout="constrained")
    for name in DECAYS:
        values, accuracy = singular_values(name)
        above.plot(range(1, len(values) + 1), values[:, 0], label=f"{name}: {accuracy:.1%} right")
        below.plot(range(1, values.shape[1] + 1), values[-1])
        print(f"{name:15} largest {values[-1][0]:.3f}, smallest {values[-1][-1]:.3f}   test accuracy {accuracy:.2%}")
    above.set(xlabel="epoch", title="largest singular value", ylim=(0, None))
    below.set(xlabel="which", title="all, at the end", ylim=(0, None))
    above.legend(fontsize=8)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.savefig(picture, metadata={"Date": None})


def draw(results, picture):
    """The loss curves, on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "signopt"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.4, 3.6), layout="constrained")
    for name, (losses, accuracy) in results.items():
        axes.plot(range(1, len(losses) + 1), losses, label=f"{name}: {accuracy:.1%} of test images right")
    axes.set(xlabel="epoch", ylabel="training loss (cross-entropy)", yscale="log")
    axes.set_title("8 × 8 digits, two-layer network")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(picture, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, help="where to draw the loss curves (.svg or .png)")
    parser.add_argument("--norms", type=Path, help="where to draw the singular values under each decay")
    arguments = parser.parse_args()
    results = {}
    for name in OPTIMIZERS:
        results[name] = train(name)
        losses, accuracy = results[name]
        print(f"{name:11} last loss {losses[-1]:.4f}   test accuracy {accuracy:.2%}", flush=True)
    if arguments.picture:
        draw(results, arguments.picture)
    if arguments.norms:
        draw_norms(arguments.norms)


if __name__ == "__main__":
    main()
