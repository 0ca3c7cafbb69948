"""The limits that the settings give policy."""

from sreops.domain.remediation.policy import PolicyLimits
from sreops.settings import Settings


def limits_of(settings: Settings) -> PolicyLimits:
    """Return the limits that the settings give policy."""
    policy = settings.policy
    return PolicyLimits(
        targets=policy.targets,
        attempts_per_hour=policy.attempts_per_hour,
        max_concurrent_effects=policy.max_concurrent_effects,
        breaker_failures=policy.breaker_failures,
        max_event_age_s=policy.max_event_age_s,
        max_tier=policy.max_tier,
        dry_run=settings.dry_run,
        earned_fixes=policy.earned_fixes,
        host_acts_per_hour=policy.host_acts_per_hour,
        project_acts_per_hour=policy.project_acts_per_hour,
    )
