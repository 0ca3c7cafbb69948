"""Noting in the audit by which settings policy decides, where that has changed since the last start."""

import hashlib
import json
from typing import Final

from sreops.domain.records.record import Action
from sreops.errors import StoreUnavailable
from sreops.ports import Clock, IncidentStore
from sreops.settings import Settings
from sreops.telemetry import log

POLICY_NOT_AUDITED: Final = "policy.not_audited"


async def note_policy(store: IncidentStore, clock: Clock, settings: Settings, host: str) -> None:
    """Audit the settings that policy reads, once for all replicas that have the same."""
    read = {
        **settings.policy.model_dump(mode="json"),
        "dry_run": settings.dry_run,
        "default_tier": settings.default_tier.value,
        "anonymous_autonomous": settings.webhook.anonymous_autonomous,
    }
    version = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:12]
    action = Action(
        action="change_policy",
        phase="decision",
        target="policy",
        by=f"settings of {host}",
        detail="policy decides by these settings",
        data={"version": version, "settings": read},
    )
    try:
        await store.note_rules(action, now=clock.now())
    except StoreUnavailable as exc:  # the next start notes it
        log.warning(POLICY_NOT_AUDITED, error=str(exc))
