"""Lion and Tiger over MPI: each rank holds a slice of every parameter, and updates it in place.

mpiexec -n 4 python docs/engines/mpi_ranks.py

Lion needs no message at all. Tiger needs 24 bytes a tensor: the facts of its slice, summed over the ranks. On more
machines: mpiexec --hostfile HOSTS -n 64 ... .
"""

import numpy as np
from mpi4py import MPI

import signopt

STEPS = 4
SIZES = {"dense/kernel": 4099, "dense/bias": 3, "embeddings": 1000, "gamma": 17}
comm = MPI.COMM_WORLD


def piece(size):
    """This rank's slice, of a length that may differ by one from the others', or be zero."""
    return slice(comm.rank * size // comm.size, (comm.rank + 1) * size // comm.size)


def make():
    """Whole parameters and the gradients of every step, the same on every rank."""
    rng = np.random.default_rng(0)
    draw = lambda: {name: rng.standard_normal(size).astype(np.float32) for name, size in SIZES.items()}  # noqa: E731
    params, grads = draw(), [draw() for _ in range(STEPS)]
    grads[2]["dense/kernel"][-1] = np.nan  # which only the last rank sees
    return params, grads


def count_of_different(actual, expected):
    """How many elements have other bits."""
    return int((actual.view(np.uint32) != expected.view(np.uint32)).sum())


def main():
    for kind in (signopt.Lion, signopt.Tiger):
        whole, grads = make()
        mine = {name: param[piece(param.size)].copy() for name, param in whole.items()}
        optimizer, reference = kind(mine, lr=1e-2), kind(whole, lr=1e-2)
        for step_grads in grads:
            local = {name: grad[piece(grad.size)] for name, grad in step_grads.items()}
            if kind is signopt.Tiger:
                roles = optimizer.roles
                facts = {
                    name: comm.allreduce(signopt.tiger_facts(param, local[name], roles[name]))
                    for name, param in mine.items()
                }
                optimizer.step(local, facts=facts)
            else:
                optimizer.step(local)
            reference.step(step_grads)
        expected = {name: param[piece(param.size)] for name, param in whole.items()}
        differ = comm.reduce(sum(count_of_different(param, expected[name]) for name, param in mine.items()))
        if comm.rank == 0:
            print(
                f"{kind.__name__} on {comm.size} ranks: {sum(SIZES.values())} elements compared with the whole, "
                f"{differ} differ"
            )


if __name__ == "__main__":
    main()
