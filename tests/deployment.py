"""What is deployed, read from the files that ship: the image, the Compose file, and what they mount."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
PROVISIONING = DEPLOY / "grafana" / "provisioning"


def read_yaml(path: Path) -> Any:
    """Parse one document as Grafana, Loki and Compose do: anchors and merges resolved, no duplicate keys."""
    return YAML(typ="safe", pure=True).load(path.read_text())


def compose() -> dict[str, Any]:
    """Return compose.yaml as written, variables not filled in."""
    read: dict[str, Any] = read_yaml(ROOT / "compose.yaml")
    return read


def alert_rules() -> list[dict[str, Any]]:
    """Return Grafana's provisioned alert rules."""
    groups = read_yaml(PROVISIONING / "alerting" / "rules.yaml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


@dataclass
class Image:
    """The last stage of the Dockerfile."""

    bases: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    volume: str = ""
    stop_signal: str = ""
    entrypoint: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


def image(path: Path = ROOT / "Dockerfile") -> Image:
    """Read the Dockerfile: of every stage its base and commands, of the last one the rest."""
    uncommented = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    made = Image()
    for line in re.sub(r"\\\n", " ", uncommented).splitlines():
        word, _, rest = line.strip().partition(" ")
        match word:
            case "FROM":
                made = Image(bases=[*made.bases, rest.split()[0]], runs=made.runs)
            case "ENV":
                made.env |= dict(part.split("=", 1) for part in shlex.split(rest))
            case "USER":
                made.user = rest
            case "WORKDIR":
                made.workdir = rest
            case "VOLUME":
                made.volume = rest
            case "STOPSIGNAL":
                made.stop_signal = rest
            case "ENTRYPOINT":
                made.entrypoint = json.loads(rest)
            case "HEALTHCHECK":
                made.healthcheck = json.loads(rest.partition("CMD ")[2])
            case "RUN":
                made.runs.append(" ".join(rest.split()))
    return made


def settings_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return what of an environment is sreops' own."""
    return {name: str(value) for name, value in environment.items() if name.startswith("SREOPS_")}
