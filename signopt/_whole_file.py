"""Replacing a file as a whole: whoever opens the path, whenever and after any crash, finds the old file or the new."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["replace_file"]

_PREFIX, _SUFFIX = ".signopt-", ".part"


def replace_file(path: str, data: bytes) -> None:
    """Make ``data`` the content of the file ``path``, durably, or raise and leave what was there.

    The data go to a draft in the same folder, which then takes the place of the file in one move. A symbolic link is
    followed, the file it leads to keeps its permissions, and both the file and its folder are synced. If the system
    has files without a name (Linux), the draft gets one only when it is complete. A draft that a killed process left
    behind is removed by the next call in that folder.

    Raises
    ------
    OSError
        Naming ``path``, if it is a folder, a device, read-only, or cannot be written.
    """
    with _errors_about(path):
        target, mode = _resolved(path)
        folder = os.path.dirname(target)
        _remove_abandoned(folder)
        try:
            _replace(target, data, mode, _Unnamed(folder))
        except OSError:
            _replace(target, data, mode, _Named(folder))
        _sync_folder(folder)


class _Named:
    """A file beside the target. Its name is unique, and it is locked for as long as it is open."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.name = self._unique_name()

    def open(self) -> int:
        """Create the file, and another if it was taken for abandoned before it could be locked."""
        while True:
            descriptor = os.open(self.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
            if _lock(descriptor) and os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)
            _remove(self.name)
            self.name = self._unique_name()

    def complete(self, descriptor: int) -> None:
        """Nothing: the file has its name already."""

    def _unique_name(self) -> str:
        return os.path.join(self._folder, f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")


class _Unnamed(_Named):
    """A file that nobody sees, and that vanishes with its process, until it is complete."""

    def open(self) -> int:
        if not (hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd")):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return os.open(self._folder, os.O_TMPFILE | os.O_WRONLY, 0o666)

    def complete(self, descriptor: int) -> None:
        _lock(descriptor)
        # src_dir_fd has no meaning beside an absolute path, but with it Python asks the system to follow the link.
        os.link(f"/proc/self/fd/{descriptor}", self.name, src_dir_fd=descriptor, follow_symlinks=True)


def _replace(target: str, data: bytes, mode: int | None, draft: _Named) -> None:
    descriptor = -1
    try:
        descriptor = draft.open()
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        if mode is not None and mode != stat.S_IMODE(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        draft.complete(descriptor)
        if fcntl is None:  # then an open file cannot be moved, and nobody looks for abandoned ones
            os.close(descriptor)
            descriptor = -1
        os.replace(draft.name, target)
    finally:
        _remove(draft.name)
        if descriptor != -1:
            os.close(descriptor)


@contextlib.contextmanager
def _errors_about(path: str) -> Iterator[None]:
    """Errors that name the path that the user gave, not that of a draft."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _resolved(path: str) -> tuple[str, int | None]:
    """The path behind all links, and the permissions of the file there, None if there is none yet."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not os.path.basename(path):
            raise
        return os.path.realpath(path), None
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if not os.access(path, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return os.path.realpath(path), stat.S_IMODE(status.st_mode)


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed. False if another holds it; True also if there are no locks."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _remove_abandoned(folder: str) -> None:
    """Remove the drafts in ``folder`` whose writer is gone, which is to say that nobody holds their lock."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        drafts = [entry.path for entry in entries if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)]
        for draft in drafts:
            with contextlib.suppress(OSError), open(draft, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(draft)


def _remove(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)


def _sync_folder(folder: str) -> None:
    """Make the move itself durable. If a folder cannot be opened or synced, the system sees to that itself."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
