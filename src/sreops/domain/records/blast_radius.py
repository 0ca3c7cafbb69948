"""What a plan can hit, for whom is to decide: who calls the target, what else runs of it, what changed last. Pure."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from sreops.domain.evidence.evidence import Evidence, EvidenceKind

_NAMED = 3
_SOURCES = ("gitlab", "grafana", "docker")  # of a change: who knows most of it first
_COUNTS = ("deployment", "noted", "changes")


class BlastRadius(BaseModel):
    """Three sentences: who depends on it, what else runs of it, and its last change."""

    model_config = ConfigDict(frozen=True)
    dependants: str
    replicas: str
    last_change: str


def blast_radius(evidence: Sequence[Evidence]) -> BlastRadius:
    """Tell it from the evidence of the incident; what was not seen is said not to be known."""
    return BlastRadius(
        dependants=_dependants(evidence), replicas=_replicas(evidence), last_change=_last_change(evidence)
    )


def _dependants(evidence: Sequence[Evidence]) -> str:
    around = [item for item in evidence if item.kind is EvidenceKind.neighbour]
    calling = [item for item in around if item.data.get("role") == "caller"]
    names = list(dict.fromkeys(str(item.data.get("service", "")) for item in calling))
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"{', '.join(names[:_NAMED])}{more} {'calls' if len(names) == 1 else 'call'} it."
    return "Nothing is known to call it." if around else "What calls it is not known."


def _replicas(evidence: Sequence[Evidence]) -> str:
    seen = [item for item in evidence if item.kind is EvidenceKind.container and "running" in item.data]
    if not seen:
        return "How many of it run is not known."
    up = sum(item.data.get("running") is True for item in seen)
    if len(seen) == 1:
        return "It is the only container of its service." if up else "Its only container does not run."
    return f"{up} of its {len(seen)} containers run."


def _last_change(evidence: Sequence[Evidence]) -> str:
    changes = [item for item in evidence if item.kind is EvidenceKind.change]
    told = [item for item in changes if any(item.data.get(name) for name in _COUNTS)]
    told.sort(key=lambda item: _SOURCES.index(item.source) if item.source in _SOURCES else len(_SOURCES))
    if told:
        return f"Last change: {told[0].finding}"
    return "No change is known of the hour before the alert." if changes else "What was deployed last is not known."
