"""What a step costs on R ranks, by a model, and what it took on the ranks of this machine.

python docs/engines/scale.py                                           the model's table
SIGNOPT_NUM_THREADS=1 mpiexec -n 2 python docs/engines/scale.py --measure       this machine on 2 ranks
"""

import argparse
import math
import time

PARAMS, MATRICES, LARGEST = 10**9, 300, 4096 * 16384
"""A model of a billion float32 parameters in 300 matrices, and the elements of the largest."""
MEMORY, WIRE, LATENCY = 3.35e12, 50e9, 20e-6
"""Bytes a second of a rank's memory and of its link; seconds of a message."""
TOUCHED = {"Lion": 20, "Tiger": 28}
"""Bytes of memory traffic a parameter: read p, g, m and write p, m; Tiger reads p and g once more."""
FACTS = 24
RANKS = (1, 8, 64, 512, 4096, 10_000)


def step(rule, ranks, sharded):
    """Bytes that a rank sends, bytes of state that it keeps, and seconds of one optimizer step, in float32."""
    share = ranks if sharded else 1
    state = 4 * PARAMS / share
    others = (ranks - 1) / ranks if sharded else 0
    if rule == "Muon":  # parameter, gradient and momentum gathered; 5 iterations of 3 products on every rank
        sent = 3 * 4 * PARAMS * others
        state += 6 * 4 * LARGEST
        return sent, state, sent / WIRE + others * MATRICES * LATENCY * math.log2(ranks) + 20 * PARAMS / MEMORY
    sent = FACTS * MATRICES * others if rule == "Tiger" else 0
    waiting = LATENCY * math.log2(ranks) if rule == "Tiger" and sharded else 0
    return sent, state, TOUCHED[rule] * PARAMS / share / MEMORY + waiting + sent / WIRE


def table():
    """The model as lines of a table."""
    yield "| rule | parameters | ranks | sent by a rank | state of a rank | step |"
    yield "|---|---|---|---|---|---|"
    for rule in ("Lion", "Tiger", "Muon"):
        for sharded in (False, True):
            for ranks in RANKS if sharded else (RANKS[-1],):
                sent, state, seconds = step(rule, ranks, sharded)
                kind = "sharded" if sharded else "replicated"
                count = f"{ranks:,}" if sharded else "any"
                sent, state = amount(sent), amount(state)
                yield f"| {rule} | {kind} | {count} | {sent} | {state} | {1e3 * seconds:.3g} ms |"


def amount(count):
    """Bytes for a reader."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def measure(elements=1 << 24, rounds=7):
    """Milliseconds of a step of the slowest rank, the least of several rounds; a slice of the parameters on each."""
    import numpy as np
    from mpi4py import MPI

    import signopt

    comm = MPI.COMM_WORLD
    p, g = (np.random.default_rng(0).standard_normal(elements // comm.size, dtype=np.float32) for _ in range(2))
    lion, tiger = signopt.Lion({"w": p}, lr=1e-6), signopt.Tiger({"w": p.copy()}, lr=1e-6)
    facts = comm.allreduce(signopt.tiger_facts(p, g))
    actions = {
        "Lion": lambda: lion.step({"w": g}),
        "Tiger, slices as tensors": lambda: tiger.step({"w": g}),
        "Tiger, facts known": lambda: tiger.step({"w": g}, facts={"w": facts}),
        "Tiger with facts": lambda: tiger.step({"w": g}, facts={"w": comm.allreduce(signopt.tiger_facts(p, g))}),
        "24 bytes summed": lambda: comm.allreduce(facts),
    }
    for name, action in actions.items():
        times = []
        for _ in range(rounds):
            comm.Barrier()
            start = time.perf_counter()
            action()
            times.append(comm.allreduce(time.perf_counter() - start, MPI.MAX))
        if comm.rank == 0:
            print(f"{comm.size} ranks  {name:26s} {1e3 * min(times):9.3f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    else:
        print("\n".join(table()))
