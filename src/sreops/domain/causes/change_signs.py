"""Signs in what was changed: something new began right after a deployment. Pure.

The words come from our own rules (``evidence.suspected_change``), never from what a commit or a line says.
"""

from collections.abc import Sequence

from sreops.domain.causes.analysis import Category
from sreops.domain.causes.state_signs import StateSign
from sreops.domain.evidence.evidence import Evidence, EvidenceKind

CLOSE, LATE, SEEN_BEFORE = 0.74, 0.7, 0.06
"""The strength of an onset within minutes, of a later one, and what the same alert after earlier deployments adds."""

DEPLOYMENT = "deployment"
"""The source of these signs."""

ELSEWHERE = frozenset(
    {
        Category.dependency_down, Category.dns_failure, Category.rate_limited, Category.quota_exceeded,
        Category.certificate_expired, Category.clock_skew, Category.disk_failed, Category.replication_lag,
    }
)  # fmt: skip
"""Causes that lie outside a service, and that no version of it brings about."""

MECHANISMS = frozenset(
    {
        Category.out_of_memory, Category.memory_leak, Category.deadlock, Category.connection_pool_exhausted,
        Category.disk_full, Category.resource_limit, Category.permission_denied, Category.bad_configuration,
        Category.tls_failure,
    }
)  # fmt: skip
"""Causes that say how it goes wrong: the change is told beside them, and does not take their place."""


def change_signs(evidence: Sequence[Evidence]) -> list[StateSign]:
    """Return a sign for each change that was found to come right before the onset."""
    signs = []
    for item in evidence:
        suspected = item.data.get("suspected") if item.kind is EvidenceKind.change else None
        if isinstance(suspected, dict) and isinstance(told := suspected.get("told"), str):
            strength = CLOSE if suspected.get("close") is True else LATE
            strength += SEEN_BEFORE if suspected.get("seen_before") is True else 0.0
            signs.append(StateSign(Category.bad_deploy, told, strength, item.id, DEPLOYMENT))
    return signs
