"""Put host functions in the place of the C entry points that CuPy's Cython modules share with each other.

``cupy_backends.cuda.api.runtime`` and ``.driver`` publish their functions as capsules in ``__pyx_capi__``; every other
CuPy module takes the pointers from there when it is first imported. So the swap must come before ``import cupy``. All
entry points are replaced: one that the host device does not implement raises and never reaches a CUDA library. Each is
reached through a small C function generated from the capsule's own signature, so that a Python exception propagates as
CuPy expects it to, instead of being printed and forgotten as in a ctypes callback.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["VanishedEntryPointError", "replace_entry_points"]

_FORMATS = {
    "intptr_t": "n",
    "size_t": "K",
    "uintmax_t": "K",
    "int": "i",
    "CUdevice": "i",
    "cudaMemcpyKind": "i",
    "unsigned int": "I",
    "float": "f",
    "PyObject *": "O",
}
_C_TYPES = {"CUdevice": "int", "cudaMemcpyKind": "int", "uintmax_t": "unsigned long long"}
_RESULTS = {
    "PyObject *": ("NULL", "result"),
    "float": ("0", "(float)PyFloat_AsDouble(result)"),
    "int": ("-1", "(int)PyLong_AsLong(result)"),
    "unsigned int": ("0", "(unsigned int)PyLong_AsUnsignedLong(result)"),
    "size_t": ("0", "PyLong_AsSize_t(result)"),
    "intptr_t": ("0", "(intptr_t)PyLong_AsSsize_t(result)"),
    "uintmax_t": ("0", "PyLong_AsUnsignedLongLong(result)"),
}
_HEADER = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n#include <stdint.h>\n"

Handler = Callable[..., Any]

_api = ctypes.pythonapi
_api.PyCapsule_GetName.restype = ctypes.c_char_p
_api.PyCapsule_GetName.argtypes = [ctypes.py_object]
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_api.Py_IncRef.restype = None
_api.Py_IncRef.argtypes = [ctypes.py_object]


class VanishedEntryPointError(RuntimeError):
    """This CuPy lacks an entry point that the harness replaces, or gives it a signature that is not understood."""


@dataclass(frozen=True)
class _EntryPoint:
    name: str
    signature: str
    result: str
    arguments: tuple[str, ...]
    optional: bool

    @property
    def understood(self) -> bool:
        return self.result in _RESULTS and all(kind in _FORMATS for kind in self.arguments)

    def source(self) -> str:
        """The C function that calls the Python function held in ``call_NAME``."""
        kinds = [*self.arguments, "int", *(["void *"] if self.optional else [])]
        if self.name.startswith("_ensure"):
            kinds = list(self.arguments)
        declared = ", ".join(f"{_C_TYPES.get(kind, kind)} a{index}" for index, kind in enumerate(kinds)) or "void"
        units = "".join(_FORMATS[kind] for kind in self.arguments)
        values = "".join(
            f", (Py_ssize_t)a{index}" if kind == "intptr_t" else f", a{index}"
            for index, kind in enumerate(self.arguments)
        )
        failed, converted = _RESULTS[self.result]
        release = "" if self.result == "PyObject *" else "Py_DECREF(result); "
        return (
            f"PyObject *call_{self.name};\n"
            f"{_C_TYPES.get(self.result, self.result)} seam_{self.name}({declared}) {{\n"
            f'    PyObject *result = PyObject_CallFunction(call_{self.name}, "({units})"{values});\n'
            f"    if (!result) return {failed};\n"
            f"    {_C_TYPES.get(self.result, self.result)} value = {converted};\n"
            f"    {release}return value;\n}}\n"
        )


def replace_entry_points(module: ModuleType, handlers: dict[str, Handler]) -> list[str]:
    """Replace every function that ``module`` shares with other Cython modules.

    Parameters
    ----------
    module : module
        ``cupy_backends.cuda.api.runtime`` or ``.driver``.
    handlers : {name: callable}
        What stands in for the entry points that the harness implements.

    Returns
    -------
    list of str
        The entry points that raise NotImplementedError when they are called.

    Raises
    ------
    VanishedEntryPointError
        If a handler has no entry point, or one whose signature is not understood.
    """
    capsules: dict[str, Any] = module.__pyx_capi__  # type: ignore[attr-defined]
    points = {point.name: point for point in _entry_points(capsules)}
    for name in handlers:
        if name not in points or not points[name].understood:
            seen = points[name].signature if name in points else "nothing"
            raise VanishedEntryPointError(f"{module.__name__}.{name}: found {seen}; port the harness to this CuPy")
    replaced = [point for point in points.values() if point.understood]
    library = _compile(_HEADER + "".join(point.source() for point in replaced))
    for point in replaced:
        handler = handlers.get(point.name) or _missing(f"{module.__name__}.{point.name}")
        _install(capsules, library, point, handler)
        setattr(module, point.name, handler)
    return [point.name for point in replaced if point.name not in handlers]


def _entry_points(capsules: dict[str, Any]) -> Iterator[_EntryPoint]:
    for name, capsule in capsules.items():
        signature = _api.PyCapsule_GetName(capsule).decode()
        match = re.fullmatch(r"(.*?)\s*\((.*)\)", signature)
        if not match:
            continue
        parts = [part.strip() for part in match[2].split(",") if part.strip() not in ("", "void")]
        own = tuple(part for part in parts if "__pyx_" not in part)
        result = re.sub(r"^struct __pyx_obj_\w+ \*$", "PyObject *", match[1])
        yield _EntryPoint(name, signature, result, own, optional="__pyx_opt_args" in match[2])


def _missing(name: str) -> Handler:
    def refuse(*_: Any) -> Any:
        raise NotImplementedError(f"the host device has no {name}")

    return refuse


def _compile(source: str) -> ctypes.PyDLL:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "seam.so")
        Path(folder, "seam.c").write_text(source)
        include = sysconfig.get_paths()["include"]
        flags = ["-O1", "-fPIC", "-shared", "-I", include]
        subprocess.run(["gcc", *flags, "-o", library, Path(folder, "seam.c")], check=True)
        return ctypes.PyDLL(str(library))


def _immortal(thing: Any) -> Any:
    """CuPy calls entry points until the interpreter is gone, after modules have been cleared."""
    _api.Py_IncRef(thing)
    return thing


def _install(capsules: dict[str, Any], library: ctypes.PyDLL, point: _EntryPoint, handler: Handler) -> None:
    name = _immortal(point.signature.encode())
    ctypes.c_void_p.in_dll(library, f"call_{point.name}").value = id(_immortal(handler))
    pointer = ctypes.cast(getattr(library, f"seam_{point.name}"), ctypes.c_void_p).value
    capsules[point.name] = _api.PyCapsule_New(pointer, name, None)
