"""Settings of the worker: correlation, leases and limits, and how long what is over is kept."""

from pydantic import BaseModel, Field


class CorrelationSettings(BaseModel):
    """Windows of correlation (seconds), and what counts as a storm."""

    clear_grace_s: float = Field(600.0, ge=0)  # after closing, in which a repeat is only counted
    refire_window_s: float = Field(3600.0, ge=0)  # in which a refire reopens the incident
    escalated_window_s: float = Field(24 * 3600.0, ge=0)  # how long a handed-over incident gathers its alerts
    storm_incidents: int = Field(50, ge=1)  # opened within storm_window_s; further ones are gathered
    burst_incidents: int = Field(8, ge=1)  # the same, of one alert's name or of one group of the sender
    storm_window_s: float = Field(60.0, gt=0)
    no_data_recovers: bool = False  # for rules that count without data as healthy: Grafana's NoData, MissingSeries


class WorkerSettings(BaseModel):
    """Leases, retries and limits of the worker (seconds)."""

    lease_s: float = Field(30.0, gt=1)  # how long a silent worker keeps its incidents
    retry_s: float = Field(2.0, gt=0)  # before the second try; it doubles
    max_attempts: int = Field(3, ge=1)  # of one node, then the incident is handed over
    ageing_s: float = Field(600.0, gt=0)  # open for so much longer, an incident goes before a worse one
    max_incident_s: float = Field(3600.0, gt=0)  # then the watchdog hands it over; waits for people not counted
    max_run_s: float = Field(300.0, gt=0)  # of a graph between two waits
    max_inbox_bytes: int = Field(1024 * 1024 * 1024, ge=1)  # events not yet taken up; above it reading pauses
    idle_poll_s: float = Field(0.5, gt=0)  # between two looks for work


class RetentionSettings(BaseModel):
    """How long what is over is kept; what is open is never pruned.

    ``max_data_bytes`` bounds the SQLite files in the data directory (0: no bound): above it the oldest of what is
    closed goes earlier. Nothing goes before correlation is done with it, whatever is set here.
    """

    incidents_days: float = Field(90.0, gt=0)  # after their end
    inbox_days: float = Field(7.0, gt=0)  # events
    log_days: float = Field(7.0, gt=0)  # of the embedded log
    checkpoints_hours: float = Field(24.0, gt=0)  # after an episode's end
    max_data_bytes: int = Field(8 * 1024 * 1024 * 1024, ge=0)  # of the SQLite files; 0: no bound
    every_s: float = Field(60.0, gt=0)  # between two rounds
    batch: int = Field(100, ge=1, le=10_000)  # rows at once
