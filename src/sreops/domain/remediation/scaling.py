"""How many replicas a scale step wants, of how many there are. Pure."""

from collections.abc import Mapping
from typing import Any


def wanted_replicas(params: Mapping[str, Any], replicas: int) -> int:
    """Return the number to set: ``replicas`` itself, or ``by`` more (up to ``max``) or fewer (down to ``min``, or 1).

    A service that is beyond its bound already stays as it is: more is never fewer.
    """
    if "by" not in params:
        return int(params["replicas"])
    by = int(params["by"])
    if by > 0:
        return max(replicas, min(replicas + by, int(params["max"])))
    return min(replicas, max(replicas + by, int(params.get("min", 1))))


def why_not_scaled(name: str, params: Mapping[str, Any], replicas: int) -> str:
    """Say why there is nothing to scale, or nothing: of a number that is set anyway that is no fault."""
    if "by" not in params or wanted_replicas(params, replicas) != replicas:
        return ""
    bound = f"at most {params['max']}" if int(params["by"]) > 0 else f"at least {params.get('min', 1)}"
    return f"{name} has {replicas} replicas, and the runbook's bound is {bound}"
