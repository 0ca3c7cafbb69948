"""What Loki reads from a request: its parameters, defaults and refusals (LK:pkg/loghttp/params.go)."""

from __future__ import annotations

import re
from datetime import datetime

from sreops.sandbox.clock import NS
from sreops.sandbox.loki.logql import parse_duration_ns
from sreops.sandbox.request_params import Params

MAX_QUERY_LENGTH_NS = (30 * 24 + 1) * 3600 * NS
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


class Refused(Exception):
    """A request that Loki answers with an error: ``status`` and the plain text of its body."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


def parse_time_ns(text: str, name: str) -> int:
    """Nanoseconds of the parameter ``name``: RFC3339, or seconds, or, above ten digits, nanoseconds."""
    if re.fullmatch(r"-?\d+\.\d+", text):
        return int(float(text) * NS)
    if re.fullmatch(r"-?\d+", text):
        return int(text) * NS if len(text) <= 10 else int(text)
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise Refused(400, f"could not parse '{name}' parameter: strconv.ParseInt: parsing \"{text}\": invalid syntax")
    whole = datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3]))
    return int(whole.timestamp()) * NS + int((found[2] or "0").ljust(9, "0"))


def limit(params: Params) -> int:
    """How many lines at most; its ceiling holds for log queries only."""
    text = params.get("limit") or "100"
    if not re.fullmatch(r"[+-]?\d+", text):
        raise Refused(400, f'strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) <= 0:
        raise Refused(400, "limit must be a positive value")
    return int(text)


def forward(params: Params) -> bool:
    """Whether oldest comes first; the default is backward."""
    direction = params.get("direction") or "backward"
    if direction.lower() not in ("forward", "backward"):
        raise Refused(400, f"invalid direction '{direction}'")
    return direction.lower() == "forward"


def step_ns(params: Params, start_ns: int, end_ns: int) -> int:
    """Nanoseconds between points; default a 250th of the range."""
    text = params.get("step") or ""
    if not text:
        return max((end_ns - start_ns) // NS // 250, 1) * NS
    try:
        step_ns = int(float(text) * NS) if re.fullmatch(r"-?\d+(\.\d+)?", text) else parse_duration_ns(text)
    except ValueError as exc:
        raise Refused(400, f'cannot parse "{text}" to a valid duration') from exc
    if step_ns <= 0:
        raise Refused(400, "zero or negative query resolution step widths are not accepted. Try a positive integer")
    return step_ns


def check_range(start_ns: int, end_ns: int) -> None:
    """Refuse a range that runs backward or is longer than 30d1h."""
    if end_ns < start_ns:
        raise Refused(400, "end timestamp must not be before or equal to start time")
    if end_ns - start_ns > MAX_QUERY_LENGTH_NS:
        hours, rest = divmod((end_ns - start_ns) // NS, 3600)
        raise Refused(
            400,
            f"the query time range exceeds the limit (query length: {hours}h{rest // 60}m{rest % 60}s, limit: 30d1h)",
        )
