"""The ledger of effects: the intent before, the outcome after."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.policy import PolicyFacts, PolicyLimits
from sreops.ports.store.dispatch import Lease


class EffectLedger(Protocol):
    """Every effect on the world is written before it is done, and once."""

    async def policy_facts(
        self,
        incident_id: str,
        service: str,
        runbook_id: str,
        *,
        now: datetime,
        targets: Sequence[str] = (),
        standings: Sequence[str] = (),
    ) -> PolicyFacts:
        """Return recent automation facts; effects of this incident's running episode are not counted.

        Those for the service and to the targets, whoever's incident it was: by their standing identities, and rows
        of 0.1, which has none, by the names in ``targets``.
        """
        ...

    async def begin_effect(
        self,
        lease: Lease,
        effect: Effect,
        limits: PolicyLimits,
        *,
        now: datetime,
        cooldown_s: float = 0.0,
        doubted_resolve_at: datetime | None = None,
    ) -> Effect:
        """Write the intent with its snapshot, and its audited action; return it as stored.

        The same (incident, episode, step) a second time returns the first one unchanged. In the same transaction:
        automation paused, alerts all resolved meanwhile, another incident that remediated service or target within
        ``cooldown_s`` → EffectBlocked; one that does so now, or too many at once → EffectBlocked(wait=True).
        ``doubted_resolve_at``: a resolve of that time does not block, since who fired the alert contradicts it.
        """
        ...

    async def end_effect(
        self, lease: Lease, effect_id: str, outcome: EffectOutcome, detail: str, *, now: datetime
    ) -> Effect:
        """Write the outcome once, and its audited action; a second outcome changes nothing."""
        ...

    async def effects(self, incident_id: str, episode: int) -> Sequence[Effect]:
        """Return the ledger of an episode, in order."""
        ...

    async def effects_on(self, standing: str, actions: Sequence[str], *, limit: int) -> Sequence[Effect]:
        """Return what of these actions was begun on a target, whoever's incident it was, the newest first."""
        ...
