"""Lion in Ray actors, each of which holds a slice of the parameters and its momentum.

python docs/engines/ray_actors.py

On more machines: ray.init(address="auto") on a cluster that `ray start` has made. Arrays out of Ray's store are
read-only, so an actor copies what it will update.
"""

import numpy as np
import ray

import signopt

STEPS, ACTORS = 3, 2


@ray.remote
class Shard:
    """A slice of one parameter, and the optimizer that updates it."""

    def __init__(self, param):
        self.param = np.array(param)
        self.optimizer = signopt.Lion({"w": self.param}, lr=1e-3, weight_decay=0.1)

    def step(self, grad):
        """One step; returns the slice."""
        self.optimizer.step({"w": grad})
        return self.param


def main():
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(4099).astype(np.float32) for _ in range(2))
    shards = [Shard.remote(piece) for piece in np.array_split(p, ACTORS)]
    expected = p, np.zeros_like(p)
    for step in range(STEPS):
        grad = g * np.float32(1 - step)
        pieces = [s.step.remote(part) for s, part in zip(shards, np.array_split(grad, ACTORS), strict=True)]
        result = np.concatenate(ray.get(pieces))
        expected = signopt.lion(expected[0], grad, expected[1], lr=1e-3, weight_decay=0.1)
    differ = int((result.view(np.uint32) != expected[0].view(np.uint32)).sum())
    print(f"Lion in {ACTORS} actors: {p.size} elements compared with the rule's, {differ} differ")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    main()
    ray.shutdown()
