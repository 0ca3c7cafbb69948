"""Suspects of a live incident: the ranking over the service and its neighbours, and what is told of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sreops.domain.evidence.evidence import Evidence, EvidenceKind, Window
from sreops.domain.incidents.incident import Incident, Resolution
from sreops.domain.suspects.ranking import Metric, Observations, Ranking, Suspect, rank
from sreops.domain.suspects.series_anomaly import Points
from sreops.domain.suspects.trace_flow import Line
from sreops.domain.text.redaction import Redactor, clean, one_line

ALERT_LAGS_S = 60.0
"""How long before its alert trouble shows at least: a rule has a window, and often a `for`."""
_TOLD = 5
_NOT_RANKED = frozenset({"started"})  # grows by itself
_RANKED_AS = {"health": "healthy"}  # the name by which the ranking knows which way is worse


@dataclass(frozen=True)
class Seen:
    """One series that was measured: of which service, for which golden signal."""

    service: str
    signal: str
    points: Points


def ranked_name(signal: str) -> str | None:
    """Return the name under which a signal is ranked; None where it is not."""
    # what is measured is a rate already, whatever the counter under it is called
    return None if not signal or signal in _NOT_RANKED else _RANKED_AS.get(signal, signal.removesuffix("_total"))


def suspect(
    seen: Sequence[Seen],
    services: Sequence[str],
    calls: frozenset[tuple[str, str]],
    alert_at: datetime,
    window: Window,
    *,
    lines: Sequence[Line] = (),
) -> Ranking:
    """Rank the services; the first of ``services`` is the alerted one.

    By how much an alert is late is not known, so trouble that began a minute before it and trouble that began in the
    middle of the time before it are both looked for: the ranking in which somebody stands out more is taken.
    ``lines`` are those of several services (``comparable``): of one alone they would speak against it, and say
    nothing of the others.
    """
    alert_s, start_s = alert_at.timestamp(), window.start.timestamp()
    metrics = [
        Metric(series.service, name, series.points)
        for series in seen
        if (name := ranked_name(series.signal)) is not None
    ]
    rankings = [
        rank(
            Observations(
                services,
                since,
                metrics=metrics,
                lines=lines,
                calls=calls,
                entry=services[0] if services else None,
                traces_partly=True,
            )
        )
        for since in sorted({max(start_s, alert_s - ALERT_LAGS_S), (start_s + alert_s) / 2})
    ]
    return max(rankings, key=lambda found: (not found.abstained, found.suspects[0].score if found.suspects else 0.0))


def over_at(incidents: Sequence[Incident], alert_at: datetime, window: Window) -> datetime | None:
    """Return when a service's own trouble that shows in the window was over: its last incident's, before the alert.

    What its series still show then is that trouble, and no reason to suspect it of this one. One that is still open,
    or that ended without a proof of recovery, may well be why.
    """
    recent = [incident for incident in incidents if incident.ended_at is None or incident.ended_at >= window.start]
    mended = [
        incident.ended_at
        for incident in recent
        if incident.ended_at is not None
        and incident.ended_at <= alert_at
        and incident.resolution in (Resolution.fixed, Resolution.recovered)
    ]
    return max(mended) if mended and len(mended) == len(recent) else None


def ranking_evidence(ranking: Ranking, redactor: Redactor, *, over: Mapping[str, datetime] | None = None) -> Evidence:
    """Tell who is suspected, by what share of all suspicion, for which signs and since when; or that nobody is.

    ``over`` are services that were left out, since their own trouble was over before the alert, and when.
    """
    total = sum(suspected.score for suspected in ranking.suspects) or 1.0
    shares = {
        suspected.service: round(suspected.score / total, 2)
        for suspected in ranking.suspects[:_TOLD]
        if suspected.score > 0
    }
    count = len(ranking.suspects)
    if ranking.abstained:
        best = f"; most changed: {ranking.suspects[0].service}" if shares else ""
        finding = f"suspects: none of {count} service{'s' if count != 1 else ''} stands out{best}"
    else:
        named = [
            f"{suspected.service} {shares[suspected.service]:.2f} ({', '.join(_signals(suspected))})"
            for suspected in ranking.suspects[:_TOLD]
            if suspected.service in shares
        ]
        finding = f"suspects: {', '.join(named)}"
        if (onset := ranking.suspects[0].onset) is not None:
            finding += f"; onset {datetime.fromtimestamp(onset, UTC):%H:%M:%S} UTC"
    for service, at in (over or {}).items():
        finding += f"; {one_line(service, 80)} is left out: its own incident was over at {at:%H:%M:%S} UTC"
    lines = [
        f"{place}. {suspected.service} (score {suspected.score:.1f}): {'; '.join(suspected.signs[:3])}"
        for place, suspected in enumerate(ranking.suspects[:_TOLD], start=1)
        if suspected.score > 0
    ]
    return Evidence(
        id="", kind=EvidenceKind.suspects, source="suspects", finding=redactor.redact(one_line(finding, 400)),
        text=redactor.redact(clean("\n".join(line[:600] for line in lines))),
        data={
            "abstained": ranking.abstained, "first": ranking.suspects[0].service if ranking.suspects else None,
            "shares": shares, "scores": {suspected.service: suspected.score for suspected in ranking.suspects[:_TOLD]},
        },
    )  # fmt: skip


def _signals(suspected: Suspect) -> list[str]:
    """Return the names of the signals behind a suspicion, each once."""
    names = [sign.partition(" went from ")[0].removeprefix("share failing by ") for sign in suspected.signs[:3]]
    return list(dict.fromkeys(names))
