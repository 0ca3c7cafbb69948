"""The demo keeps its promises: exit status 0, and everything that the README says of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers.dockerd import Dockerd

ROOM_FOR_A_BUSY_MACHINE_S = 280


def demo(*arguments: str, directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "LC_"))}
    return subprocess.run(
        [sys.executable, "-m", "sreops", "demo", *arguments],
        env={**kept, "COLUMNS": "200", **settings},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=ROOM_FOR_A_BUSY_MACHINE_S,
        check=False,
    )


def what_was_missed(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what it printed, where the promises that were not kept stand: CI cuts what is long."""
    return f"exit status {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"


def test_four_incidents_are_fixed_approved_handed_over_and_rolled_back(tmp_path: Path) -> None:
    began = time.monotonic()
    done = demo(directory=tmp_path)
    assert done.returncode == 0, what_was_missed(done)
    for shown in ("OutOfMemoryError", "restart_container payments: succeeded", "A person must approve",
                  "What to do next",
                  "rollback_deployment shop/recommendations production: succeeded",
                  "Every promised step happened", "http://127.0.0.1:"):  # fmt: skip
        assert shown in done.stdout, shown
    assert "Traceback" not in done.stdout + done.stderr
    assert time.monotonic() - began < ROOM_FOR_A_BUSY_MACHINE_S
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_a_port_where_somebody_listens_is_refused_and_nothing_is_sent_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as another:
        another.setblocking(False)
        done = demo("--port", str(another.getsockname()[1]), directory=tmp_path)
        with pytest.raises(BlockingIOError):
            another.accept()
    assert done.returncode == 2, done.stdout
    assert "can't listen there" in done.stderr
    assert "leave --port out" in done.stderr


def test_asking_for_the_model_without_a_key_is_a_sentence(tmp_path: Path) -> None:
    done = demo("--model", directory=tmp_path)
    assert done.returncode == 2
    assert "ANTHROPIC_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_asking_for_docker_without_an_engine_is_a_sentence(tmp_path: Path) -> None:
    done = demo("--docker", directory=tmp_path, SREOPS_DOCKER__HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "SREOPS_DOCKER__HOST" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.needs("docker")
def test_the_first_incident_plays_in_a_real_engine_and_nothing_is_left_there(tmp_path: Path, dockerd: Dockerd) -> None:
    dockerd.import_python_image("python:demo")
    done = demo("--docker", directory=tmp_path, SREOPS_DOCKER__HOST=dockerd.host)
    assert done.returncode == 0, what_was_missed(done)
    left = dockerd.api.get("/containers/json", params={"all": True}).json()
    assert not [one for one in left if "sreops.demo" in one["Labels"]]
