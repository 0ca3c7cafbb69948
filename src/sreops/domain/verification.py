"""Verification: fixed, not fixed, or unknown. Pure; no data is unknown, never success."""

from pydantic import BaseModel, ConfigDict

from sreops.domain.incident import VerificationResult


class Reading(BaseModel):
    """One verify condition as measured: ``holds`` None means no data or no answer (``why`` says which).

    ``values`` are the series' values, so that people see by how much.
    """

    model_config = ConfigDict(frozen=True)
    promql: str
    condition: str
    holds: bool | None
    values: tuple[float, ...] = ()
    why: str = ""


class Look(BaseModel):
    """One look at a service: conditions, the container's health, the alert's own state (True: fires)."""

    model_config = ConfigDict(frozen=True)
    readings: tuple[Reading, ...] = ()
    container: str | None = (
        None  # "healthy", "running" (no health check), "starting", "unhealthy", "down", None
    )
    alert_firing: bool | None = None


class Judgement(BaseModel):
    """The verdict of one or more looks; ``final`` False: keep polling until the deadline."""

    model_config = ConfigDict(frozen=True)
    result: VerificationResult
    why: str
    final: bool
