"""Replacing a file: whole at every moment, where links lead, with its permissions, and with nothing left beside it."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from signopt import _whole_file
from signopt._whole_file import replace_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, links and permissions as POSIX has them")


def has_unnamed_files(folder):
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except (AttributeError, OSError):
        return False
    return True


@pytest.fixture(params=["a draft without a name", "a draft with a name"])
def draft(request, monkeypatch, tmp_path):
    """Both ways to write; the second is what systems without unnamed files do."""
    if request.param == "a draft without a name" and not has_unnamed_files(tmp_path):
        pytest.skip("this system, or its folder for temporary files, has no files without a name")
    if request.param == "a draft with a name":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return request.param


def names(folder):
    return sorted(os.listdir(folder))


def test_the_file_is_replaced(tmp_path, draft):
    path = tmp_path / "file"
    for data in (b"one", b"", b"two" * 100_000):
        replace_file(str(path), data)
        assert path.read_bytes() == data
    assert names(tmp_path) == ["file"]


def test_a_link_is_followed(tmp_path, draft):
    (tmp_path / "folder").mkdir()
    link, target = tmp_path / "latest", tmp_path / "folder" / "step0"
    link.symlink_to(os.path.join("folder", "step0"))
    for data in (b"it leads to no file yet", b"now it does"):
        replace_file(str(link), data)
        assert link.is_symlink()
        assert target.read_bytes() == data
    assert names(tmp_path) == ["folder", "latest"]
    assert names(tmp_path / "folder") == ["step0"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_permissions_are_kept(tmp_path, draft, mode):
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    replace_file(str(path), b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path, draft):
    (tmp_path / "plain").touch()
    replace_file(str(tmp_path / "ours"), b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_names_may_be_as_long_as_the_system_allows(tmp_path, draft):
    longest = "n" * os.pathconf(tmp_path, "PC_NAME_MAX")
    replace_file(str(tmp_path / longest), b"x")
    assert names(tmp_path) == [longest]
    with pytest.raises(OSError, match="too long") as caught:
        replace_file(str(tmp_path / f"{longest}n"), b"x")
    assert caught.value.filename == str(tmp_path / f"{longest}n")


def test_a_relative_path(tmp_path, draft, monkeypatch):
    monkeypatch.chdir(tmp_path)
    replace_file("file", b"x")
    assert names(tmp_path) == ["file"]


def refused_paths(folder):
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    return {
        "no/such": FileNotFoundError,
        "no/": FileNotFoundError,
        "folder": IsADirectoryError,
        "folder/": IsADirectoryError,
        "pipe": OSError,
        "loop": OSError,
        "pipe/file": NotADirectoryError,
    }


def test_errors_name_the_path_that_was_given(tmp_path, draft):
    for name, error in refused_paths(tmp_path).items():
        path = os.path.join(tmp_path, name)
        with pytest.raises(error) as caught:
            replace_file(path, b"x")
        assert caught.value.filename == path, name
    with pytest.raises(FileNotFoundError):
        replace_file("", b"x")
    assert names(tmp_path) == ["folder", "loop", "pipe"]


def test_a_read_only_file_is_not_replaced(tmp_path, draft, monkeypatch):
    path = tmp_path / "best"
    path.write_bytes(b"kept")
    path.chmod(0o444)
    if os.geteuid() == 0:  # root may write everything
        monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError):
        replace_file(str(path), b"x")
    assert path.read_bytes() == b"kept"


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, draft, monkeypatch, call):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o612)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some other name")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(str(path), b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_draft_that_cannot_be_named_is_written_again_with_a_name(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", fail)
    replace_file(str(tmp_path / "file"), b"x")
    assert names(tmp_path) == ["file"]


def test_file_and_folder_are_synced_in_this_order(tmp_path, draft, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(stat.S_ISDIR(os.fstat(fd).st_mode)), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("moved"), replace(*names)))
    replace_file(str(tmp_path / "file"), b"x")
    assert events == [False, "moved", True]


def test_writers_of_one_path_do_not_tear_it(tmp_path, draft):
    path = str(tmp_path / "file")
    sizes = [100_000, 300_000, 200_001]
    errors, torn = [], []
    replace_file(path, bytes(sizes[0]))

    def write(value):
        try:
            for _ in range(30):
                replace_file(path, bytes([value]) * sizes[value])
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with open(path, "rb") as file:
            data = file.read()
        if data != bytes([data[0]]) * sizes[data[0]]:
            torn.append(len(data))
    assert not errors
    assert not torn
    assert names(tmp_path) == ["file"]


def test_a_draft_in_use_is_not_taken_for_abandoned(tmp_path):
    mine = _whole_file._Named(str(tmp_path))
    descriptor = mine.open()
    replace_file(str(tmp_path / "file"), b"x")
    assert os.path.exists(mine.name)
    os.close(descriptor)
    replace_file(str(tmp_path / "file"), b"x")
    assert names(tmp_path) == ["file"]


def test_a_draft_that_was_taken_for_abandoned_is_begun_anew(tmp_path, monkeypatch):
    lock = _whole_file._lock
    removed = []

    def late(descriptor):
        if not removed:  # another process comes before us
            removed.append(mine.name)
            os.unlink(mine.name)
        return lock(descriptor)

    mine = _whole_file._Named(str(tmp_path))
    monkeypatch.setattr(_whole_file, "_lock", late)
    descriptor = mine.open()
    assert names(tmp_path) == [os.path.basename(mine.name)]
    assert [mine.name] != removed
    os.close(descriptor)


SAVER = """
import os, sys, time
from signopt._whole_file import replace_file

path, draft, moment = sys.argv[1:]
if draft == "a draft with a name":
    del os.O_TMPFILE
if moment == "before the move":
    os.replace = lambda *names: print("now", flush=True) or time.sleep(1000)
    replace_file(path, b"never")
if moment == "while it is written":
    os.fsync = lambda descriptor: print("now", flush=True) or time.sleep(1000)
    replace_file(path, b"never")
print("now", flush=True)
while True:
    replace_file(path, bytes(3_000_000))
    replace_file(path, b"1" * 2_000_000)
"""


def kill_saver(path, draft, moment, delay=0.0):
    saver = subprocess.Popen([sys.executable, "-c", SAVER, path, draft, moment], stdout=subprocess.PIPE)
    saver.stdout.readline()
    time.sleep(delay)
    saver.send_signal(signal.SIGKILL)
    saver.communicate()


@pytest.mark.parametrize("moment", ["while it is written", "before the move"])
def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path, draft, moment):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    kill_saver(path, draft, moment)
    assert path.read_bytes() == b"old"
    left = len(names(tmp_path)) - 1
    assert left == (0 if (draft, moment) == ("a draft without a name", "while it is written") else 1)
    replace_file(str(path), b"new")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("trials", [4, pytest.param(8, marks=pytest.mark.thorough)])
def test_kills_at_any_moment_leave_a_whole_file(tmp_path, draft, trials):
    path = tmp_path / "file"
    replace_file(str(path), b"1" * 2_000_000)
    for trial in range(trials):
        kill_saver(path, draft, "any", 0.024 * trial / trials)
        assert path.read_bytes() in {bytes(3_000_000), b"1" * 2_000_000}
        replace_file(str(path), b"1" * 2_000_000)
        assert names(tmp_path) == ["file"]
