"""A Numba that cannot be used: 'auto' says so once and takes NumPy; a damaged cache is made anew."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import signopt

pytest.importorskip("numba", reason="Numba is not installed: pip install 'signopt[numba]'")

from signopt.backends import _numba_health as health
from tests.thin import keeping

STEP = """
import warnings
import numpy as np, signopt
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        opt = signopt.Lion([np.ones(3)], lr=0.25)
        opt.step([np.ones(3)])
print(opt.backend, opt.params["0"].tolist(), len(caught), *(str(each.message) for each in caught))
"""
PROBE = "from signopt.backends._numba_health import why_numba_is_not_usable; print(why_numba_is_not_usable())"


def answer(code, path=(), **environment):
    """What a fresh process prints."""
    places = [*map(str, path), str(Path(signopt.__file__).parents[1]), *sys.path]
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(places)) | environment,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_numba_that_cannot_be_imported(tmp_path):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('Numba needs NumPy 2.4 or less.')")
    text = answer(STEP, [tmp_path])
    assert text.startswith("numpy [0.75, 0.75, 0.75] 1 ")
    assert "ImportError: Numba needs NumPy 2.4 or less." in text


def test_a_numba_that_is_told_not_to_compile():
    text = answer(STEP, NUMBA_DISABLE_JIT="1")
    assert text.startswith("numpy [0.75, 0.75, 0.75] 1 ")
    assert "NUMBA_DISABLE_JIT" in text


DAMAGES = {
    "half of the data": ("*.nbc", lambda content: content[: len(content) // 2]),
    "no data": ("*.nbc", lambda content: b""),
    "no index": ("*.nbi", lambda content: b""),
    "a cut index": ("*.nbi", lambda content: content[:20]),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What a process leaves that has compiled."""
    folder = tmp_path_factory.mktemp("cache")
    assert answer(PROBE, NUMBA_CACHE_DIR=str(folder)) == "None"
    return folder


@pytest.mark.parametrize("damage", keeping(DAMAGES, ["half of the data", "a cut index"]))
def test_a_damaged_cache_is_made_anew(cache, tmp_path, damage):
    pattern, damaged = DAMAGES[damage]
    shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
    files = [*tmp_path.rglob(pattern)]
    assert files
    whole = {file: file.read_bytes() for file in files}
    for file, content in whole.items():
        file.write_bytes(damaged(content))
    assert answer(PROBE, NUMBA_CACHE_DIR=str(tmp_path)) == "None"
    assert all(len(file.read_bytes()) >= len(content) for file, content in whole.items())


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch):
    calls, emptied = [], []
    monkeypatch.setattr(health, "_with_an_empty_cache", lambda: emptied.append("empty"))
    monkeypatch.setattr(health, "_without_a_cache", lambda: emptied.append("none"))

    def kernel():
        calls.append(None)
        if "none" not in emptied:
            raise OSError("read-only file system")

    health.compile_on_nothing(kernel)
    assert (len(calls), emptied) == (3, ["empty", "none"])


def test_a_kernel_that_cannot_be_compiled_updates_nothing(monkeypatch):
    from signopt.backends import _numba_kernels as kernels

    monkeypatch.setattr(health, "_dispatchers", list)

    def broken(*_):
        raise SystemError("LLVM")

    params = [np.ones(3), np.ones(3, np.float32)]
    opt = signopt.Lion(params, backend="numba")
    monkeypatch.setattr(kernels, "lion", broken)
    with pytest.raises(RuntimeError, match=r"cannot compile broken \(LLVM\); nothing was updated"):
        opt.step([np.ones(3), np.ones(3, np.float32)])
    assert all((param == 1.0).all() for param in params)


def test_a_broken_numba_that_is_asked_for_is_an_error(monkeypatch):
    monkeypatch.setattr("signopt.backends._select.why_numba_is_not_usable", lambda: "planted")
    with pytest.raises(RuntimeError, match=r"backend 'numba' cannot be used \(planted\)"):
        signopt.Lion([np.ones(3)], backend="numba")
    health._warn.cache_clear()
    monkeypatch.setattr(health, "why_numba_is_not_usable", lambda: "planted")
    with pytest.warns(RuntimeWarning, match="planted"):
        assert signopt.Lion([np.ones(3)]).backend == "numpy"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert signopt.Lion([np.ones(3)]).backend == "numpy"
    health._warn.cache_clear()


def test_kernels_from_before_a_change_are_forgotten_by_the_tests(tmp_path):
    """Of the file of a kernel Numba sees a change, of those that the kernel calls it does not."""
    from tests.conftest import forget_kernels_from_before

    cache = tmp_path / "__pycache__"
    cache.mkdir()
    for time, path in enumerate((cache / "old.nbc", tmp_path / "called.py", cache / "new.nbc", cache / "index.nbi")):
        path.touch()
        os.utime(path, (time, time))
    forget_kernels_from_before(tmp_path)
    assert sorted(path.name for path in cache.iterdir()) == ["index.nbi", "new.nbc"]
