"""signopt.torch under accelerate, Lightning and the Trainer of transformers: each against a loop in plain torch.

python -m pip install accelerate lightning transformers
python docs/engines/torch_trainers.py            or the names of some: accelerate lightning transformers

Two epochs with a warm-up, gradients of two micro-batches accumulated, clipping, and groups with hyperparameters of
their own. Each trainer trains in one go, and in two with a checkpoint in between, out of which everything is made anew.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, SequentialSampler

import signopt.torch

EPOCHS, MICRO_BATCHES, SIZE, ACCUMULATE, CLIP = 2, 8, 4, 2, 0.5
STEPS = MICRO_BATCHES // ACCUMULATE
"""Of one epoch."""


class Model(nn.Module):
    """A model with a part of every role, which returns its loss as the Trainer of transformers wants it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Embedding(24, 16), nn.Linear(16, 32), nn.LayerNorm(32), nn.Linear(32, 13))

    def forward(self, tokens, targets):
        return {"loss": ((self.layers(tokens) - targets) ** 2).mean()}


def examples():
    """The same examples in the same order for everybody."""
    generator = torch.Generator().manual_seed(1)
    count = MICRO_BATCHES * SIZE
    tokens = torch.randint(0, 24, (count,), generator=generator)
    targets = torch.randn(count, 13, generator=generator)
    return [{"tokens": a, "targets": b} for a, b in zip(tokens, targets, strict=True)]


def make(rule):
    """Model, optimizer and scheduler."""
    model = Model()
    groups = signopt.torch.groups(model)
    for group in groups:
        group["weight_decay"] = 0.1 if group["role"] == "matrix" else 0.0
    if rule != "Tiger":
        groups = [{name: value for name, value in group.items() if name != "role"} for group in groups]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = getattr(signopt.torch, rule)(groups, lr=1e-2)
    return model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 4))


def plain(rule):
    """What all others are compared with: a loop in torch."""
    model, optimizer, scheduler = make(rule)
    for _ in range(EPOCHS):
        for number, batch in enumerate(DataLoader(examples(), SIZE)):
            (model(**batch)["loss"] / ACCUMULATE).backward()
            if (number + 1) % ACCUMULATE == 0:
                nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
    return model


def with_accelerate(rule, folder, first, last):
    """Epochs ``first`` to ``last``; what came before is loaded, and what comes out is saved."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=ACCUMULATE)
    loader = DataLoader(examples(), SIZE)
    model, optimizer, scheduler, loader = accelerator.prepare(*make(rule), loader)
    if first:
        accelerator.load_state(folder)
    for _ in range(first, last):
        for batch in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(**batch)["loss"])
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
    accelerator.save_state(folder)
    return accelerator.unwrap_model(model)


def with_lightning(rule, folder, first, last):
    """As with accelerate."""
    import lightning
    from lightning.pytorch.plugins.environments import LightningEnvironment

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.inner, self.optimizer, self.scheduler = make(rule)

        def training_step(self, batch):
            return self.inner(**batch)["loss"]

        def configure_optimizers(self):
            return [self.optimizer], [{"scheduler": self.scheduler, "interval": "step"}]

    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(
        max_epochs=last,
        accelerator="cpu",
        devices=1,
        accumulate_grad_batches=ACCUMULATE,
        gradient_clip_val=CLIP,
        plugins=LightningEnvironment(),  # it need not look for a cluster
        **quiet,
    )
    module, checkpoint = Module(), Path(folder) / "last.ckpt"
    trainer.fit(module, DataLoader(examples(), SIZE), ckpt_path=checkpoint if first else None, weights_only=False)
    trainer.save_checkpoint(checkpoint)
    return module.inner


def with_transformers(rule, folder, first, last):
    """As with accelerate; this one saves by itself."""
    from transformers import Trainer, TrainingArguments

    class InOrder(Trainer):
        def _get_train_sampler(self, train_dataset=None):
            return SequentialSampler(self.train_dataset)

    model, optimizer, scheduler = make(rule)
    arguments = TrainingArguments(
        folder,
        max_steps=last * STEPS,
        per_device_train_batch_size=SIZE,
        gradient_accumulation_steps=ACCUMULATE,
        max_grad_norm=CLIP,
        save_steps=STEPS,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        remove_unused_columns=False,
    )
    trainer = InOrder(model, arguments, train_dataset=examples(), optimizers=(optimizer, scheduler))
    trainer.train(resume_from_checkpoint=bool(first))
    return model


TRAINERS = {"accelerate": with_accelerate, "lightning": with_lightning, "transformers": with_transformers}


def differing(first, second):
    """How many elements of two models have other bits."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return sum(int((a.detach().numpy().view(np.uint32) != b.detach().numpy().view(np.uint32)).sum()) for a, b in pairs)


def main(names):
    for name in names:
        for rule in ("Lion", "Tiger"):
            expected, train = plain(rule), TRAINERS[name]
            with tempfile.TemporaryDirectory() as folder:
                whole = train(rule, folder, 0, EPOCHS)
            with tempfile.TemporaryDirectory() as folder:
                train(rule, folder, 0, 1)
                resumed = train(rule, folder, 1, EPOCHS)
            elements = sum(param.numel() for param in expected.parameters())
            print(
                f"{name}, {rule}: {elements} elements after {EPOCHS * STEPS} steps compared with a plain loop's, "
                f"{differing(whole, expected)} differ; resumed from a checkpoint, {differing(resumed, expected)} differ"
            )


if __name__ == "__main__":
    main(sys.argv[1:] or TRAINERS)
