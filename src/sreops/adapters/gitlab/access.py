"""What the token may do: asked at start and by ``/health``, before an incident finds out."""

from datetime import date, datetime
from typing import Any

from sreops.adapters.gitlab.api import GitLabApi
from sreops.errors import IssuesRefused, IssuesUnavailable
from sreops.ports import Health

EXPIRY_WARNING_DAYS = 14
REPORTER, DEVELOPER = 20, 30
Fault = tuple[Any, str, str]
"""A state of health, what was found, and the cure."""


async def access_health(api: GitLabApi, now: datetime, deadline: float) -> Health:
    """Check version, token (scope, expiry) and role; what lacks is named with its cure."""
    try:
        version = await api.get("/api/v4/version", deadline)
        token = await token_shown(api, deadline)
        project = await api.get(api.at_project, deadline)
    except (IssuesRefused, IssuesUnavailable) as exc:
        return Health(
            "down", str(exc), exc.cure or "correct SREOPS_GITLAB__URL, __TOKEN or __PROJECT, or wait for GitLab"
        )
    name = version.get("version") if isinstance(version, dict) else None
    detail = f"GitLab {str(name)[:40]}, project {api.project}"
    for fault in (_token_fault(token, now), _role_fault(project)):
        if fault is not None:
            status, what, cure = fault
            return Health(status, f"{detail}: {what}", cure)
    return Health("up", detail)


def acting_fault(token: dict[str, Any], project: Any, now: datetime) -> Fault | None:
    """Return what keeps a token from running jobs of its project: it needs the scope api and the role Developer."""
    level = _level(project)
    if level is not None and level < DEVELOPER:
        told = f"the token's role has level {level}, and starting a job needs {DEVELOPER}"
        return "down", told, "give it the role Developer"
    return _token_fault(token, now)


async def token_shown(api: GitLabApi, deadline: float) -> dict[str, Any]:
    """Return what GitLab tells of the token; nothing of what is no access token."""
    try:
        shown = await api.get("/api/v4/personal_access_tokens/self", deadline)
    except IssuesRefused as exc:
        if exc.status == 404:  # before 15.5, or no access token (OAuth)
            return {}
        raise
    return shown if isinstance(shown, dict) else {}


def _token_fault(token: dict[str, Any], now: datetime) -> Fault | None:
    scopes = token.get("scopes")
    if isinstance(scopes, list) and "api" not in scopes:
        return "down", f"the token has the scopes {', '.join(map(str, scopes))}", "make a token with the scope api"
    if token.get("active") is False:
        return "down", "the token is revoked or expired", "make a new token"
    try:
        expires = date.fromisoformat(str(token.get("expires_at")))
    except ValueError:
        return None
    days = (expires - now.date()).days
    if days < 0:
        return "down", f"the token expired on {expires}", "make a new token"
    if days < EXPIRY_WARNING_DAYS:
        return "up", f"the token expires on {expires}, in {days} days", "rotate the token before then"
    return None


def _role_fault(project: Any) -> Fault | None:
    level = _level(project)
    if level is None:
        return None
    if level < REPORTER:
        return "down", f"the token's role has level {level}", "give it the role Developer: incidents need Reporter"
    if level < DEVELOPER:
        cure = "give it the role Developer"
        return "up", f"the token's role has level {level}, which can't set the escalation status", cure
    return None


def _level(project: Any) -> int | None:
    """Return the token's access level in the project; None for administrators, who are shown none."""
    shown = project.get("permissions") if isinstance(project, dict) else None
    if not isinstance(shown, dict):
        return None
    grants = [shown.get(kind) for kind in ("project_access", "group_access")]
    levels = [grant.get("access_level") for grant in grants if isinstance(grant, dict)]
    return max((level for level in levels if isinstance(level, int)), default=0)
