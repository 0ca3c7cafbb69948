"""Correlation: what an event means for the incidents we know. Pure; one store transaction applies it."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.incident import IncidentStatus, Resolution


class Disposition(StrEnum):
    """What correlation decides for an event (design §2 "Identity and correlation")."""

    open = "open"
    attach = "attach"
    repeat = "repeat"
    refire = "refire"
    resolve = "resolve"
    stale = "stale"

    @property
    def starts_graph(self) -> bool:
        """Whether this disposition starts a graph."""
        return self in (Disposition.open, Disposition.refire)


class KnownAlert(BaseModel):
    """An alert that an incident holds; ``ended_at`` is when it was resolved."""

    model_config = ConfigDict(frozen=True)
    fingerprint: str
    starts_at: AwareDatetime
    ended_at: AwareDatetime | None = None

    @property
    def firing(self) -> bool:
        """Whether it still fires, as far as we were told."""
        return self.ended_at is None


class KnownIncident(BaseModel):
    """What correlation needs to know of an incident."""

    model_config = ConfigDict(frozen=True)
    id: str
    episode: int
    service: str
    status: IncidentStatus
    resolution: Resolution | None
    opened_at: AwareDatetime
    ended_at: AwareDatetime | None
    alerts: tuple[KnownAlert, ...]


class Windows(BaseModel):
    """The windows of correlation in seconds."""

    model_config = ConfigDict(frozen=True)
    clear_grace_s: float = 600.0
    refire_window_s: float = 3600.0
    escalated_window_s: float = 86400.0


class Correlation(BaseModel):
    """The decision: ``incident_id`` is the incident concerned (None for ``stale``); ``why`` is for people.

    ``all_resolved`` (with ``resolve``): no alert of the incident fires any more.
    """

    model_config = ConfigDict(frozen=True)
    disposition: Disposition
    incident_id: str | None
    all_resolved: bool = False
    why: str = ""
