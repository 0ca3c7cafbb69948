"""A search as conditions on the rows: every text that is looked for is bound and escaped, never part of the query."""

import json
from collections.abc import Iterator

from sqlalchemy import ColumnElement, Text, and_, cast, exists, not_, or_

from sreops.adapters.store.columns import plain
from sreops.adapters.store.tables import inbox, incident_alerts, incidents, target_names
from sreops.domain.incidents.incident import Reason
from sreops.domain.incidents.search import Search

IS_STORM = and_(incidents.c.reason == Reason.storm.value, incidents.c.storm_id.is_(None))
_READ_FOR_WORDS = ("service", "alertname", "root_cause", "category", "reason", "runbook_id")
_SCOPE = '"scope":{%'  # of the stored subject: its keys stand in the order of its fields
_ANNOTATIONS = '"annotations":{%', '%},"startsAt":'  # of a stored event, likewise: what stands before and behind


def conditions_of(search: Search) -> Iterator[ColumnElement[bool]]:
    """Yield what must hold."""
    if search.severities:
        yield incidents.c.severity.in_([severity.value for severity in search.severities])
    if search.since is not None:
        yield incidents.c.opened_at >= search.since
    if search.until is not None:
        yield incidents.c.opened_at < search.until
    if search.storms is not None:
        yield IS_STORM if search.storms else not_(_known(IS_STORM))
    if search.subject:
        also = exists().where(target_names.c.incident_id == incidents.c.id, _holds(target_names.c.name, search.subject))
        yield or_(_holds(incidents.c.service, search.subject), also)
    for part in search.scope:
        yield _scope(part)
    for word in search.words:
        joined = exists().where(
            incident_alerts.c.incident_id == incidents.c.id, _holds(incident_alerts.c.alertname, word)
        )
        named = [_holds(incidents.c[name], word) for name in _READ_FOR_WORDS]
        yield or_(incidents.c.id == word, *named, _scope(word), joined, _annotated(word))


def _scope(told: str) -> ColumnElement[bool]:
    key, equals, value = told.partition("=")
    found = f"{json.dumps(key)}:{json.dumps(value)}" if equals else f":{json.dumps(told)}"
    stored = cast(incidents.c.subject, Text)  # compared as JSON, what is looked for would be encoded once more
    return stored.ilike(f"%{_SCOPE}{_escaped(found)}%", escape="\\")


def _annotated(word: str) -> ColumnElement[bool]:
    """Say whether an alert of it has the word in its annotations: its summary is what people remember."""
    stored = cast(inbox.c.payload, Text)
    spellings = dict.fromkeys(json.dumps(plain(word), ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))
    before, behind = _ANNOTATIONS
    said = (stored.ilike(f"%{before}{_escaped(part)}{behind}%", escape="\\") for part in spellings)
    return exists().where(inbox.c.incident_id == incidents.c.id, or_(*said))


def _holds(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    return column.ilike(f"%{_escaped(plain(part))}%", escape="\\")


def _escaped(text: str) -> str:
    """Return text in which nothing stands for anything else in a LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _known(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition as true or false: a reason that is not set is no storm."""
    return and_(incidents.c.reason.is_not(None), condition)
