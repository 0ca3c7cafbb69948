"""What replay and probe run on reads what sreops reads, and writes, tells and does nothing outside its folder."""

from pathlib import Path

import pytest

from sreops.commands.replay import harmless
from sreops.settings import load_settings


def test_nobody_is_told_and_nothing_is_written_outside_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SREOPS_DATABASE_URL": "postgresql://u:p@db/sreops",
        "SREOPS_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
        "SREOPS_GITLAB__URL": "https://gitlab.example",
        "SREOPS_GITLAB__TOKEN": "t",
        "SREOPS_NOTIFY__URLS": "json://hook.example/x",
        "SREOPS_LOKI__URL": "http://loki:3100",
        "SREOPS_DOCKER__HOST": "tcp://docker-proxy:2375",
    }.items():
        monkeypatch.setenv(name, value)
    real = load_settings()
    assert real.notify.urls
    rehearsed = harmless(real, tmp_path)
    assert rehearsed.dry_run
    assert rehearsed.data_dir == tmp_path
    assert not (rehearsed.database_url)
    assert not (rehearsed.kafka.bootstrap_servers)
    assert not (rehearsed.gitlab.url)
    assert not rehearsed.notify.urls
    assert (rehearsed.loki.url, rehearsed.docker.host) == ("http://loki:3100", "tcp://docker-proxy:2375")
