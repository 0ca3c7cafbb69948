"""Whether an incident needs a person, and for what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sreops.domain.alerts.alert import Severity, Tier
from sreops.domain.incidents.incident import Incident, IncidentStatus
from sreops.domain.incidents.needs import Need, need_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def incident(status: str, **fields: Any) -> Incident:
    return Incident(
        id="i",
        status=IncidentStatus(status),
        service="payments",
        alertname="Down",
        severity=Severity.critical,
        tier=Tier.supervised,
        fingerprints=("f",),
        opened_at=NOW - DAY,
        episode_at=NOW - DAY,
        **fields,
    )


@pytest.mark.parametrize(
    ("status", "fields", "need"),
    [
        ("awaiting_approval", {}, Need.approval),
        ("awaiting_approval", {"acknowledged_by": "ann"}, Need.approval),
        ("escalated", {}, Need.attention),
        ("escalated", {"acknowledged_by": "ann"}, None),
        ("escalated", {"cleared_at": NOW - DAY + timedelta(seconds=1)}, Need.attention),
        ("escalated", {"cleared_at": NOW - DAY}, None),
        ("escalated", {"reason": "storm", "storm_id": "other"}, None),
        ("escalated", {"reason": "storm", "decision": {"storm": {"shared": {"cluster": "eu-1"}}}}, Need.attention),
        ("investigating", {}, None),
        ("remediating", {}, None),
        ("verifying", {}, None),
        ("resolved", {}, None),
    ],
)
def test_what_an_incident_asks_of_a_person(status: str, fields: dict[str, Any], need: Need | None) -> None:
    found = incident(status, **fields)
    assert need_of(found, NOW) is need
    assert found.public(NOW)["needs"] == (need.value if need else None)
