"""One process per data directory."""

import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sreops.adapters.database.data_dir_lock import DataDirLock
from sreops.errors import AlreadyRunning, SettingsInvalid

OWNER = """
import sys
from sreops.adapters.database.data_dir_lock import DataDirLock
with DataDirLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def owner_of(directory: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0]
    assert process.stdout.readline() == b"held\n"
    return process


def test_another_process_is_refused_with_the_pid_of_the_owner(tmp_path: Path) -> None:
    with owner_of(tmp_path) as process:
        with pytest.raises(AlreadyRunning, match=rf"pid {process.pid}\b"):
            DataDirLock(tmp_path).acquire()
        process.kill()


def test_kill_9_of_the_owner_frees_the_directory(tmp_path: Path) -> None:
    with owner_of(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        with DataDirLock(tmp_path) as lock:
            assert lock.path.read_text() == f"{os.getpid()}\n"


def test_release_frees_it_and_both_may_be_called_twice(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.acquire()
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        DataDirLock(tmp_path).acquire()
    lock.release()
    lock.release()
    with DataDirLock(tmp_path):
        pass


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "data"
    with DataDirLock(directory) as lock:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600


def test_a_place_that_can_not_be_used_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsInvalid, match="SREOPS_DATA_DIR"):
        DataDirLock(tmp_path / "file").acquire()
