"""Prometheus, scraping every half second what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from servers.installed import path_of
from servers.ports import free_port
from servers.process import Server

Rule = Mapping[str, Any]


class Prometheus(Server):
    """`url` is its base.

    `targets` is job -> "host:port" of its instances, `labels` job -> labels of its targets,
    `instance` among them; `rules` are rule entries as Prometheus writes them
    ({"alert", "expr", "for", "labels", "annotations"} or {"record", "expr"}); `alertmanagers` are
    "host:port". `configure` changes them while it runs.
    """

    name = "prometheus"

    def __init__(
        self,
        targets: Mapping[str, Sequence[str]] | None = None,
        rules: Sequence[Rule] = (),
        alertmanagers: Sequence[str] = (),
        *,
        scrape_interval: str = "500ms",
        flags: Sequence[str] = (),
        labels: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._binary = path_of("prometheus")
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._interval, self._flags = scrape_interval, list(flags)
        self._labels = labels or {}
        self._config = self.directory / "prometheus.yml"
        self._rules = self.directory / "rules.yml"
        self._write(targets or {}, rules, alertmanagers)

    def _write(self, targets: Mapping[str, Sequence[str]], rules: Sequence[Rule], alertmanagers: Sequence[str]) -> None:
        config = {
            "global": {
                "scrape_interval": self._interval,
                "scrape_timeout": self._interval,
                "evaluation_interval": self._interval,
            },
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": list(instances), "labels": dict(self._labels.get(job, {}))}],
                }
                for job, instances in targets.items()
            ],
            "rule_files": [str(self._rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        }
        groups = [{"name": "test", "interval": self._interval, "rules": [dict(rule) for rule in rules]}]
        self._rules.write_text(json.dumps({"groups": groups if rules else []}))  # JSON is YAML
        self._config.write_text(json.dumps(config))

    def configure(
        self,
        targets: Mapping[str, Sequence[str]],
        rules: Sequence[Rule] = (),
        alertmanagers: Sequence[str] = (),
    ) -> None:
        """Replace what it scrapes, its rules and where it sends alerts, without a restart."""
        self._write(targets, rules, alertmanagers)
        answer = httpx.post(f"{self.url}/-/reload", timeout=10)
        if answer.is_error:
            raise ValueError(f"Prometheus refused the configuration: {answer.text}")

    def command(self) -> list[str]:
        return [
            str(self._binary),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
            "--rules.alert.resend-delay=1s",
            "--log.level=warn",
            *self._flags,
        ]

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def value(self, promql: str) -> float | None:
        """Return the first sample of an instant query; None where it has none."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": promql}, timeout=10)
        answer.raise_for_status()
        result = answer.json()["data"]["result"]
        return float(result[0]["value"][1]) if result else None
