"""A person's question about an incident: the analysts are asked in turn; the rules always have an answer."""

from typing import Final

from sreops.agent.context import Tools
from sreops.domain.causes.analysis import Brief
from sreops.domain.incidents.incident import Incident
from sreops.errors import AnalystRefused, AnalystUnavailable
from sreops.ports import Answer
from sreops.telemetry import log

ANALYST_FAILED: Final = "ask.analyst_failed"

TIMEOUT_S: Final = 45.0
_ALERTS = 20


async def answer_question(tools: Tools, incident: Incident, question: str) -> Answer:
    """Answer from what is known of the incident; raises StoreUnavailable."""
    events = await tools.store.events(incident.id, newest=_ALERTS)
    brief = Brief(
        incident_id=incident.id,
        alerts=tuple(event for event, _ in reversed(events)),
        evidence=tuple(await tools.store.evidence(incident.id)),
    )
    account = str((incident.decision or {}).get("handover") or incident.root_cause or "")
    for analyst in tools.analysts[:-1]:
        try:
            return await analyst.answer(brief, account, question, timeout_s=TIMEOUT_S)
        except (AnalystUnavailable, AnalystRefused) as exc:
            log.warning(ANALYST_FAILED, analyst=analyst.name, error=str(exc))
    return await tools.analysts[-1].answer(brief, account, question, timeout_s=TIMEOUT_S)
