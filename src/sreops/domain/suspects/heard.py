"""Log lines of several services made comparable: cut, and of the time only in which all of them are whole. Pure."""

from collections.abc import Mapping

from sreops.domain.evidence.evidence import LogLines
from sreops.domain.suspects.trace_flow import Line

MOST_CHARS = 2_000
"""Of one line: the ids and the place in the code stand near its beginning."""


def comparable(found: Mapping[str, LogLines]) -> list[Line]:
    """Return the lines by time, for the comparison of before with since; none where only one service has any.

    A source that was cut gives its newest lines only. Before its oldest one nothing is known of that service: were the
    others' older lines kept, its steps would seem to be new since the trouble.
    """
    heard = {service: lines for service, lines in found.items() if lines.lines}
    if len(heard) < 2:
        return []
    whole_from = max((one.lines[0].at for one in heard.values() if one.partial), default=None)
    lines = [
        (line.at.timestamp(), service, line.text[:MOST_CHARS])
        for service, one in heard.items()
        for line in one.lines
        if whole_from is None or line.at >= whole_from
    ]
    return sorted(lines, key=lambda line: line[0])
