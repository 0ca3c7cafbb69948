"""What the token may do: asked at start and by ``/health``, before an incident finds out."""

from datetime import date, datetime
from typing import Any

from sreops.adapters.gitlab.api import GitLabApi
from sreops.errors import IssuesRefused, IssuesUnavailable
from sreops.ports import Health

EXPIRY_WARNING_DAYS = 14
REPORTER, DEVELOPER = 20, 30


async def access_health(api: GitLabApi, now: datetime, deadline: float) -> Health:
    """Check version, token (scope, expiry) and role; what lacks is named with its cure."""
    try:
        version = await api.get("/api/v4/version", deadline)
        token = await _token(api, deadline)
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


async def _token(api: GitLabApi, deadline: float) -> dict[str, Any]:
    try:
        shown = await api.get("/api/v4/personal_access_tokens/self", deadline)
    except IssuesRefused as exc:
        if exc.status == 404:  # before 15.5, or no access token (OAuth)
            return {}
        raise
    return shown if isinstance(shown, dict) else {}


Fault = tuple[Any, str, str]


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
    shown = project.get("permissions") if isinstance(project, dict) else None
    if not isinstance(shown, dict):
        return None  # administrators see none
    grants = [shown.get(kind) for kind in ("project_access", "group_access")]
    levels = [grant.get("access_level") for grant in grants if isinstance(grant, dict)]
    level = max((level for level in levels if isinstance(level, int)), default=0)
    if level < REPORTER:
        return "down", f"the token's role has level {level}", "give it the role Developer: incidents need Reporter"
    if level < DEVELOPER:
        cure = "give it the role Developer"
        return "up", f"the token's role has level {level}, which can't set the escalation status", cure
    return None
