"""Rolling back a Swarm service: only to what is older, differs from what runs, and was never rolled away from. Pure.

Swarm keeps one previous specification: that before the last update, whatever it was. So after a scale its rollback
undoes the scale and says that it went well, after a restart it restarts everything once more, and after a rollback it
rolls forward, to what was left (reference: Engine 20.10, tried; API ``/services/{id}/update?rollback=previous``).
"""

from collections.abc import Sequence

from sreops.domain.evidence.evidence import ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome

LOOKED_BACK = 200
"""How many rollbacks of a target are looked through for a specification that was left."""


def why_not_roll_back(service: ServiceState, earlier: Sequence[Effect], incident_id: str) -> str:
    """Say why this service is not rolled back, or nothing; ``earlier`` are all rollbacks of it that were begun."""
    done = [effect for effect in earlier if effect.outcome is not EffectOutcome.failed]
    if any(effect.incident_id == incident_id for effect in done):
        return f"{service.name} was rolled back for this incident already, and that is done once"
    if not service.previous_spec:
        return f"Swarm has no previous specification of {service.name} to go back to"
    if service.update.startswith("rollback"):
        return f"{service.name} was rolled back last ({service.update}): Swarm would roll forward to what was left"
    if service.previous_spec == service.spec:
        return (
            f"the last update of {service.name} changed nothing of what runs (a scale, a restart): "
            "going back from it brings no older version"
        )
    left = next((effect for effect in done if effect.snapshot.get("spec") == service.previous_spec), None)
    if left is not None:
        return f"{service.name} was rolled away from its previous specification at {left.intent_at:%Y-%m-%d %H:%M} UTC"
    return ""
