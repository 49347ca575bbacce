"""Lion and Tiger in one compiled training loop, over a mesh of devices.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python docs/engines/jax_mesh.py

On more machines: call jax.distributed.initialize() first, in every process. The learning rate and the micro-step are
traced, so one compilation serves the whole schedule, and the parameters are donated.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import signopt

STEPS = 6
ROLES = {"kernel": "matrix", "embeddings": "embedding", "bias": "bias", "gamma": "scale"}


def make_params():
    """One parameter of each role."""
    rng = np.random.default_rng(0)
    shapes = {"kernel": (64, 48), "embeddings": (96, 32), "bias": (64,), "gamma": (64,)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def grads_at(params, step):
    """Gradients that are cheap and the same everywhere: this is about the optimizer."""
    return {name: params[name] * (step % 3 - 1) - 0.25 for name in params}


def lion(params, momenta, step, lr):
    """One step on every parameter."""
    grads = grads_at(params, step)
    new = {name: signopt.lion(params[name], grads[name], momenta[name], lr=lr, weight_decay=0.1) for name in params}
    return {name: p for name, (p, _) in new.items()}, {name: m for name, (_, m) in new.items()}


def tiger(params, momenta, step, lr):
    """One micro-step on every parameter, with a window of two and a warm-up."""
    grads = grads_at(params, step)
    options = {"step": step, "lr": lr, "accumulation_steps": 2, "schedule": {4: 1.0}}
    new = {
        name: signopt.tiger(params[name], grads[name], momenta[name], role=ROLES[name], **options) for name in params
    }
    return {name: p for name, (p, _) in new.items()}, {name: m for name, (_, m) in new.items()}


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train(step_of, params, momenta, rates):
    """All steps in one program."""

    def body(carry, inputs):
        return step_of(*carry, *inputs), None

    return jax.lax.scan(body, (params, momenta), (jnp.arange(STEPS), rates))[0]


def main():
    mesh = Mesh(np.array(jax.devices()), ("shard",))
    place = NamedSharding(mesh, PartitionSpec("shard"))
    rates = (1e-2 * 0.9 ** np.arange(STEPS)).astype(np.float32)
    for step_of in (lion, tiger):
        zeros = {name: np.zeros_like(param) for name, param in make_params().items()}
        results = train(step_of, *jax.device_put((make_params(), zeros), place), rates)
        expected = make_params(), zeros
        for step in range(STEPS):
            expected = step_of(*expected, step, rates[step])
        pairs = [(np.asarray(a), b) for a, b in zip(*map(jax.tree.leaves, (results, expected)), strict=True)]
        differ = sum(int((a.view(np.uint32) != b.view(np.uint32)).sum()) for a, b in pairs)
        print(
            f"{step_of.__name__} on {len(jax.devices())} devices: {sum(b.size for _, b in pairs)} elements compared "
            f"with NumPy's, {differ} differ"
        )


if __name__ == "__main__":
    main()
