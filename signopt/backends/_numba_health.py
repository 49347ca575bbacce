"""Whether Numba can be used here, and what to do about a cache on disk that cannot."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["compile_on_nothing", "numba_is_usable", "why_numba_is_not_usable"]


def numba_is_usable() -> bool:
    """Whether Numba is installed and works; the first time that it is installed and does not, a warning says why."""
    if find_spec("numba") is None:
        return False
    why = why_numba_is_not_usable()
    if why is not None:
        _warn(why)
    return why is None


@cache
def why_numba_is_not_usable() -> str | None:
    """What is wrong with the Numba that is installed, found by compiling a function of one line; None if it works."""
    try:
        import numba

        if numba.config.DISABLE_JIT:
            return "NUMBA_DISABLE_JIT is set"
        from signopt.backends import _numba_kernels as kernels

        compile_on_nothing(kernels.nothing)
    except Exception as error:  # whatever a broken installation raises: ImportError, OSError, SystemError, ...
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0]}"
    return None


@cache
def _warn(why: str) -> None:
    warnings.warn(
        f"Numba is installed and cannot be used ({why}); backend='auto' takes 'numpy', which leaves the same bits and "
        "is slower. backend='numpy' says nothing",
        RuntimeWarning,
        stacklevel=2,
    )


def compile_on_nothing(kernel: Callable[..., None], *args: Any) -> None:
    """Have ``kernel`` compiled, or loaded from Numba's cache on disk, by calling it on arguments with nothing to do.

    A cache that a crash has damaged is emptied and made anew; if it cannot be written, it is done without.

    Raises
    ------
    RuntimeError
        If the kernel cannot be compiled.
    """
    first: Exception | None = None
    for remedy in (_as_it_is, _with_an_empty_cache, _without_a_cache):
        try:
            remedy()
            kernel(*args)
            return
        except MemoryError:
            raise
        except Exception as error:
            first = first or error
    name = getattr(kernel, "__name__", "a kernel")
    raise RuntimeError(f"Numba cannot compile {name} ({first}); nothing was updated. Use backend='numpy'") from first


def _as_it_is() -> None:
    pass


def _with_an_empty_cache() -> None:
    for dispatcher in _dispatchers():
        dispatcher._cache.flush()


def _without_a_cache() -> None:
    from numba.core.caching import NullCache

    for dispatcher in _dispatchers():
        dispatcher._cache = NullCache()


def _dispatchers() -> list[Any]:
    """All compiled functions of the kernels: one calls another, and any of their caches may be the damaged one."""
    from signopt.backends import _numba_elements, _numba_kernels, _numba_rounding, _numba_squares

    modules = _numba_elements, _numba_kernels, _numba_rounding, _numba_squares
    functions = [function for module in modules for function in vars(module).values()]
    return [function for function in functions if hasattr(function, "_cache") and hasattr(function, "py_func")]
