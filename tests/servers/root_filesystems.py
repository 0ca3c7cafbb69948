"""Root file systems for containers, made from this machine: there is no image registry to pull from."""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

from servers.installed import path_of

# Links rather than `busybox --install`: nothing is run inside the image to make it.
APPLETS = (
    "awk base64 cat chmod chown cp cut date dd df dmesg echo env expr false find free grep head hostname"
    " id kill ls mkdir mktemp mv nc printf ps pwd readlink rm sed seq sh sleep sort stat sync tail tee test"
    " top touch tr true uname uniq usleep vi wc which whoami xargs yes"
)
# What no service of a test imports; with it the tar is several times the 62 MB that are left.
NOT_NEEDED = {
    *("__pycache__", "site-packages", "dist-packages", "ensurepip", "lib2to3", "distutils", "pydoc_data"),
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py"),
}
NOT_NEEDED_NAMES = re.compile(r"^(config-.*|_test.*|_ctypes_test.*|xxlimited.*|_tkinter.*|.*\.a|.*\.exe)$")


class RootFilesystem:
    """A tar of a root file system under construction: `add_*`, then `finish`."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 - closed by finish()
        self._names: set[str] = set()
        for directory in ("bin", "etc", "lib", "lib64", "proc", "root", "sys", "usr", "usr/bin", "usr/local"):
            self.add_directory(directory)
        self.add_directory("tmp", 0o1777)
        self.add_text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        self.add_text("etc/group", "root:x:0:\nnogroup:x:65534:\n")
        self.add_text("etc/hosts", "127.0.0.1 localhost\n")

    def finish(self) -> bytes:
        """Return the finished tar."""
        self._tar.close()
        return self._buffer.getvalue()

    def _add(self, name: str, content: bytes = b"", *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> None:
        name = name.lstrip("/")
        if name in self._names:
            return
        self._names.add(name)
        entry = tarfile.TarInfo(name)
        entry.mode, entry.type = mode, kind
        if kind == tarfile.SYMTYPE:
            entry.linkname = content.decode()
            self._tar.addfile(entry)
        else:
            entry.size = len(content)
            self._tar.addfile(entry, io.BytesIO(content))

    def add_directory(self, name: str, mode: int = 0o755) -> None:
        self._add(name, mode=mode, kind=tarfile.DIRTYPE)

    def add_text(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a text file (mode 0o755 for a script)."""
        self._parents(name)
        self._add(name, text.encode(), mode=mode)

    def add_link(self, name: str, target: str) -> None:
        self._parents(name)
        self._add(name, target.encode(), kind=tarfile.SYMTYPE, mode=0o777)

    def add_file(self, source: Path, name: str | None = None) -> None:
        """Copy a file, to the same place unless told another; links are followed."""
        name = name or str(source)
        self._parents(name)
        mode = stat.S_IMODE(source.stat().st_mode)
        self._add(name, source.read_bytes(), mode=mode)

    def _parents(self, name: str) -> None:
        parents = list(Path(name.lstrip("/")).parents)[:-1]
        for parent in reversed(parents):
            self.add_directory(str(parent))

    def add_busybox(self) -> None:
        """Add the static busybox and links for its shell and tools (not wget, which crashes when static)."""
        self.add_file(path_of("busybox"), "bin/busybox")
        for applet in APPLETS.split():
            self.add_link(f"bin/{applet}", "busybox")

    def add_python(self) -> None:
        """Add this interpreter under /usr/local with its standard library and the shared libraries of both."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        binary = Path(sys.executable).resolve()
        self.add_file(binary, f"usr/local/bin/{version}")
        for link in ("usr/local/bin/python3", "usr/local/bin/python", "usr/bin/python3"):
            self.add_link(link, f"/usr/local/bin/{version}")
        libraries = _shared_libraries(binary)
        standard_library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
        for path in _needed(standard_library):
            self.add_file(path, f"usr/local/lib/{version}/{path.relative_to(standard_library)}")
            if path.suffix == ".so":
                libraries |= _shared_libraries(path)
        for library in sorted(libraries):
            self.add_file(library)


def _needed(directory: Path) -> Iterator[Path]:
    for entry in sorted(directory.iterdir()):
        if entry.name in NOT_NEEDED or NOT_NEEDED_NAMES.match(entry.name):
            continue
        if entry.is_dir():
            yield from _needed(entry)
        else:
            yield entry


def _shared_libraries(binary: Path) -> set[Path]:
    """Return what the loader would load, the loader itself included, by the paths it looks them up under."""
    shown = subprocess.run(
        ["ldd", str(binary)], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    ).stdout
    return {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", shown, re.M)}


def busybox() -> bytes:
    """Return a root file system with a shell and the usual small tools (about 2 MB)."""
    made = RootFilesystem()
    made.add_busybox()
    return made.finish()


def python() -> bytes:
    """Return a root file system with this machine's Python and busybox's shell."""
    made = RootFilesystem()
    made.add_busybox()
    made.add_python()
    return made.finish()
