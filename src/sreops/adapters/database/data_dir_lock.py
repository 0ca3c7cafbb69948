"""The data directory belongs to one process at a time; the kernel's lock ends with its owner, however it ends."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from sreops.errors import AlreadyRunning, SettingsInvalid

LOCK_NAME = "sreops.lock"


class DataDirLock:
    """An exclusive lock on a data directory, which is made (mode 0700) where it is missing.

    The file stays when the lock ends: to remove it would let two processes lock two files of one name.
    """

    def __init__(self, directory: Path | str) -> None:
        self.path = Path(directory) / LOCK_NAME
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises AlreadyRunning that names the owner's pid, SettingsInvalid where it can't be."""
        if self._fd is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise self._unusable(exc) from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as exc:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise AlreadyRunning(
                f"{self.path.parent} belongs to the sreops with pid {owner}: end that one, or set SREOPS_DATA_DIR"
            ) from exc
        except OSError as exc:
            os.close(fd)
            raise self._unusable(exc) from exc
        self._fd = fd

    def release(self) -> None:
        """Let go; harmless where it is not held."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _unusable(self, exc: OSError) -> SettingsInvalid:
        why = exc.strerror or str(exc)
        return SettingsInvalid(
            [f"SREOPS_DATA_DIR={self.path.parent}: {why}; name a directory on a local disk that this user may write"]
        )

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
