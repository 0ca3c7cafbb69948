"""PostgreSQL: one cluster in a temporary directory, trusting loopback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from servers.installed import path_of
from servers.ports import free_port, listens
from servers.process import DidNotStart, Server

ROLE = DATABASE = "sreops"


class Postgres(Server):
    """`dsn` connects as the superuser sreops to the database sreops; `new_database` makes an empty one."""

    name = "postgres"

    def __init__(self) -> None:
        self._bin = path_of("postgres").parent
        super().__init__()
        self.port = free_port()
        self.dsn = self._dsn(DATABASE)
        self._data = self.directory / "data"
        user = self.user()
        if user:
            shutil.chown(self.directory, user)

    def _dsn(self, database: str) -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def user(self) -> str | None:
        return "postgres" if os.geteuid() == 0 else None  # it refuses to run as root

    def prepare(self) -> None:
        if self._data.exists():
            return
        layout = ["-D", str(self._data), "-U", ROLE, "--auth=trust", "--no-locale", "-E", "UTF8", "--no-sync"]
        self._run([str(self._bin / "initdb"), *layout])
        # the database, before the server serves, so that ready means ready
        self._run(
            [str(self._bin / "postgres"), "--single", "-D", str(self._data), "postgres"],
            f"CREATE DATABASE {DATABASE}\n",
        )

    def _run(self, command: list[str], text: str = "") -> None:
        user = self.user()
        done = subprocess.run(
            command,
            input=text,
            cwd=self.directory,
            env=self.environment(),
            user=user,
            group=user,
            extra_groups=[] if user else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode or "ERROR" in done.stderr:
            raise DidNotStart(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "fsync": "off",  # kill -9 loses nothing that the kernel has; only a power cut would
        }
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._data), *flags]

    def ready(self) -> bool:
        return "ready to accept connections" in self.log_since_start() and listens(self.port)

    def new_database(self, name: str) -> str:
        """Create an empty database and return its DSN; an older one of that name is dropped first."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,50}", name):
            raise ValueError(f"{name!r} is no plain database name: lower-case letters, digits and _ only")
        import psycopg  # an extra of sreops: only where it is used

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._dsn(name)
