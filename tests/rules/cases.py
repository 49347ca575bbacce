"""One table of the rules, so that what holds for all is written once."""

from functools import partial

import signopt

RULES = {
    "lion": partial(signopt.lion, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1),
    "lion-no-decay": signopt.lion,
    "signum": partial(signopt.signum, lr=0.01, weight_decay=0.1),
    "tiger-matrix": partial(signopt.tiger, lr=0.01),
    "tiger-embedding": partial(signopt.tiger, lr=0.01, role="embedding"),
    "tiger-bias": partial(signopt.tiger, lr=0.01, role="bias"),
    "tiger-scale": partial(signopt.tiger, lr=0.01, role="scale"),
    "tiger-inside-window": partial(signopt.tiger, step=1, accumulation_steps=3, lr=0.01),
    "tiger-schedule": partial(signopt.tiger, step=3, schedule={7: 1.0}),
}
