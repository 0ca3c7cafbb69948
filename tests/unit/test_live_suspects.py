"""Who is suspected in a live incident, and how that is told."""

import random
from datetime import UTC, datetime, timedelta

from sreops.domain.evidence.evidence import Window
from sreops.domain.incidents.incident import Incident, Resolution
from sreops.domain.suspects.live import Seen, over_at, ranking_evidence, suspect
from sreops.domain.text.redaction import Redactor

ALERT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
WINDOW = Window(start=ALERT - timedelta(seconds=900), end=ALERT + timedelta(seconds=30))
SERVICES = ("payments", "ledger-db", "checkout")
CALLS = frozenset({("payments", "ledger-db"), ("checkout", "payments")})
LEVELS = {"memory": 2e8, "error_ratio": 0.001, "latency_p95": 0.1, "cpu": 0.2}


def series(changed: dict[tuple[str, str], float], *, began_s: float = 60, seed: int = 3) -> list[Seen]:
    rng = random.Random(seed)
    start, began = WINDOW.start.timestamp(), ALERT.timestamp() - began_s
    found = []
    for service in SERVICES:
        for signal, level in LEVELS.items():
            after = changed.get((service, signal), level)
            points = [
                (at, rng.gauss(after if at >= began else level, level / 20))
                for at in (start + 10.0 * step for step in range(94))
            ]
            found.append(Seen(service, signal, points))
    return found


def test_a_neighbour_that_is_at_fault_is_suspected_before_the_messenger() -> None:
    broken = {
        ("ledger-db", "error_ratio"): 0.5, ("ledger-db", "memory"): 5e8,
        ("payments", "error_ratio"): 0.3, ("payments", "latency_p95"): 0.4,
    }  # fmt: skip
    ranking = suspect(series(broken), SERVICES, CALLS, ALERT, WINDOW)
    assert not ranking.abstained
    item = ranking_evidence(ranking, Redactor())
    assert item.data["first"] == "ledger-db"
    assert item.finding.startswith("suspects: ledger-db 0.")
    assert "memory" in item.finding
    assert sum(item.data["shares"].values()) <= 1.02


def test_the_onset_is_told_also_where_the_alert_came_minutes_late() -> None:
    ranking = suspect(series({("payments", "memory"): 5e8}, began_s=330), SERVICES, CALLS, ALERT, WINDOW)
    item = ranking_evidence(ranking, Redactor())
    assert item.data["first"] == "payments"
    assert "onset 03:54:" in item.finding


def test_nobody_stands_out_where_nothing_changed() -> None:
    told = [
        ranking_evidence(suspect(series({}, seed=seed), SERVICES, CALLS, ALERT, WINDOW), Redactor())
        for seed in range(10)
    ]
    assert sum(item.data["abstained"] for item in told) >= 9
    assert any("none of 3 services stands out" in item.finding for item in told)


def test_a_service_that_is_down_is_suspected_by_its_health() -> None:
    start = WINDOW.start.timestamp()
    seen = series({})
    for service in SERVICES:
        down = service == "ledger-db"
        points = [(start + 10.0 * n, 0.0 if down and n > 85 else 1.0) for n in range(94)]
        seen.append(Seen(service, "health", points))
        seen.append(Seen(service, "started", [(at, at - start) for at, _ in points]))
    item = ranking_evidence(suspect(seen, SERVICES, CALLS, ALERT, WINDOW), Redactor())
    assert item.data["first"] == "ledger-db"
    assert "started" not in item.text


def ended(minutes: float | None, resolution: Resolution | None = Resolution.fixed) -> Incident:
    at = None if minutes is None else ALERT - timedelta(minutes=minutes)
    return Incident.model_construct(service="checkout", ended_at=at, resolution=resolution)


def test_a_neighbour_whose_own_incident_was_mended_before_the_alert_is_left_out_and_that_is_told() -> None:
    assert over_at([ended(2)], ALERT, WINDOW) == ALERT - timedelta(minutes=2)
    assert over_at([ended(2), ended(600, None)], ALERT, WINDOW) == ALERT - timedelta(minutes=2)
    for others in ([], [ended(600)], [ended(-1)], [ended(None)], [ended(2, None)], [ended(2), ended(None)]):
        assert over_at(others, ALERT, WINDOW) is None
    ranking = suspect(series({("ledger-db", "memory"): 5e8}), ("payments", "ledger-db"), CALLS, ALERT, WINDOW)
    item = ranking_evidence(ranking, Redactor(), over={"checkout": ALERT - timedelta(minutes=2)})
    assert item.finding.endswith("; checkout is left out: its own incident was over at 03:58:00 UTC")
    assert item.data["first"] == "ledger-db"
