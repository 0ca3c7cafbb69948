"""What of the incidents is looked for: all that is given must hold. Pure."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import Severity


class Search(BaseModel):
    """What an incident must be like; what is empty asks for nothing.

    ``severities``: one of these. ``subject``: part of the subject's name, or of another that its target has.
    ``scope``: ``key=value``, or a value whatever its key, each in the subject's scope. ``words``: each in its names,
    cause, category, reason or runbook, in an alert's name or annotations, or the whole id. ``since`` and ``until``:
    when it was opened, the first inside, the second not. ``storms``: only storms, or none. Case does not count.
    """

    model_config = ConfigDict(frozen=True)
    severities: tuple[Severity, ...] = ()
    subject: str = ""
    scope: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    storms: bool | None = None


ANYTHING = Search()
