"""Arrays of every library that has 16-bit floats, made from NumPy's and turned back into them."""

import importlib

import numpy as np


def _torch(array):
    return importlib.import_module("torch").from_numpy(array.copy())


def _from_torch(tensor):
    torch = importlib.import_module("torch")
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(importlib.import_module("ml_dtypes").bfloat16)
    return tensor.numpy()


def _from_mlx(array):
    mlx = importlib.import_module("mlx.core")
    if array.dtype != mlx.bfloat16:
        return np.array(array)
    return np.array(array.view(mlx.uint16)).view(importlib.import_module("ml_dtypes").bfloat16)


LIBRARIES = {
    "numpy": (np.asarray, np.asarray),
    "torch": (_torch, _from_torch),
    "jax": (lambda array: importlib.import_module("jax.numpy").asarray(array), np.asarray),
    "mlx": (lambda array: importlib.import_module("mlx.core").array(array), _from_mlx),
    "dask": (lambda array: importlib.import_module("dask.array").from_array(array, chunks=5), np.asarray),
}
