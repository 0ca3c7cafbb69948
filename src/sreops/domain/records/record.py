"""Thoughts and actions: what is told to people, and what was done to the world."""

from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict


class RecordKind(StrEnum):
    """A thought (reasoning, for people watching) or an action (audited)."""

    thought = "thought"
    action = "action"


class Thought(BaseModel):
    """One line of the agent's reasoning; ``node`` is the graph node that thought it."""

    model_config = ConfigDict(frozen=True)
    node: str
    text: str
    data: dict[str, Any] = {}


class Action(BaseModel):
    """Something that changed, or was about to change, the world.

    ``action`` is the verb (``restart_container``, ``approve``, ``create_issue`` …); ``phase`` is
    ``intent``, ``outcome`` or ``decision``; ``by`` is ``sreops`` or the person.
    """

    model_config = ConfigDict(frozen=True)
    action: str
    phase: str
    target: str = ""
    by: str = "sreops"
    detail: str = ""
    data: dict[str, Any] = {}


class Record(BaseModel):
    """A stored thought or action; ``seq`` is the store's sequence and the SSE id.

    ``prev_hash`` and ``hash`` chain the actions of one incident (see ``domain/records/audit.py``).
    """

    model_config = ConfigDict(frozen=True)
    seq: int
    incident_id: str
    kind: RecordKind
    at: AwareDatetime
    body: dict[str, Any]  # the Thought or Action, dumped
    prev_hash: str | None = None
    hash: str | None = None

    def public(self) -> dict[str, Any]:
        """Return the record as the topics, the API and the event stream show it."""
        data = {
            "seq": self.seq,
            "incident_id": self.incident_id,
            "kind": self.kind.value,
            "at": self.at.isoformat(),
        }
        data |= self.body
        if self.hash is not None:
            data |= {"prev_hash": self.prev_hash, "hash": self.hash}
        return data
