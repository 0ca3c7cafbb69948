"""How the sandbox's Prometheus answers: its error envelope, and numbers as Go writes them."""

from __future__ import annotations

import json
import math
from decimal import Decimal

STATUS = {"bad_data": 400, "execution": 422, "timeout": 503, "internal": 500, "unavailable": 503, "not_found": 404}
"""HTTP status by ``errorType``."""


def fault_body(status: int) -> tuple[bytes, str]:
    """Report an injected fault in Prometheus's own envelope."""
    kind = next((name for name, code in STATUS.items() if code == status), "internal")
    body = {"status": "error", "errorType": kind, "error": f"sandbox fault: {status}"}
    return json.dumps(body).encode(), "application/json"


def format_value(value: float) -> str:
    """Return a sample's value as Go's ``FormatFloat(v, 'f', -1, 64)`` writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
