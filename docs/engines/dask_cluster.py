"""Lion and Tiger on arrays in chunks, spread over the workers of a dask cluster.

python docs/engines/dask_cluster.py

On more machines: Client("tcp://SCHEDULER:8786") in place of the LocalCluster. A rule on dask arrays only builds a
graph. Persist after every step, or every few: the graph of a step refers to that of the one before, and a chain of
hundreds is too deep for Python's recursion. A persisted array is its chunks, and has no graph behind it.
"""

import dask
import numpy as np
from dask import array as da
from dask.distributed import Client, LocalCluster, wait

import signopt

STEPS = 8


def main():
    rng = np.random.default_rng(0)
    p, g, m = (rng.standard_normal((256, 128)).astype(np.float32) for _ in range(3))
    for rule in (signopt.lion, signopt.tiger):
        param, grad, momentum = (da.from_array(array, chunks=(64, 128)).persist() for array in (p, g, m))
        expected = p, m
        for _ in range(STEPS):
            param, momentum = persisted(rule(param, grad, momentum, lr=1e-3, weight_decay=0.1))
            expected = rule(expected[0], g, expected[1], lr=1e-3, weight_decay=0.1)
        pairs = zip((param.compute(), momentum.compute()), expected, strict=True)
        differ = sum(int((a.view(np.uint32) != b.view(np.uint32)).sum()) for a, b in pairs)
        print(
            f"{rule.__name__}, {STEPS} steps on {param.npartitions} chunks: {2 * p.size} elements compared with "
            f"NumPy's, {differ} differ"
        )


def persisted(arrays):
    """The arrays computed and kept where their chunks are; waits, so that at most one step is under way."""
    kept = dask.persist(*arrays)
    wait(kept)
    return kept


if __name__ == "__main__":
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster):
        main()
