"""The graph's state: one typed object of JSON-like primitives; logs and series stay in the store."""

from typing import Any, TypedDict

STATE_SCHEMA = 1


class Outcome(TypedDict, total=False):
    """How the incident ends: ``end`` is resolved or escalated, with its resolution or reason, and why.

    ``at``, of a resolved one: the time from which on nobody has looked, so an alert that joined later is not covered.
    """

    end: str
    resolution: str
    reason: str
    why: str
    at: str


class State(TypedDict, total=False):
    """State of one episode of one incident. Times are ISO 8601 texts, models are dumped as JSON."""

    schema_version: int
    incident_id: str
    episode: int
    event: dict[str, Any]  # the alert that opened the episode, as on the topic
    alert_count: int
    put_back: bool  # a person began this episode, from the dead letter
    evidence_ids: list[str]
    analysis: dict[str, Any]
    analyst: str
    runbooks: str  # the version of the runbooks that the analysis was made with
    plan: dict[str, Any]
    would_have: str | None  # the runbook that would have matched, for the hand-over
    approval: str  # "", "needed", "approved"
    approval_why: list[str]
    asked_at: str  # when the plan was put to a person
    step: int
    step_began: str | None  # when the running step was first visited
    proof: list[str]  # what bore the cause out besides log text when the plan began to act
    baseline: dict[str, Any]  # the Look before the first effect
    answer_lost: str  # what became of the engine's answer to the running step, for the outcome's detail
    acted_at: str | None  # when the last effect had ended
    left_as: dict[str, Any]  # target: {"at", "pulse"}, as its effect left it
    recovered_at: str | None  # set: would be closed as recovered, and its target has to live since then
    by_resolve: bool  # that was for a resolve, and not for the alert's own state
    disbelieved: bool  # a resolve was told of that the alert's own system contradicts
    begun_anew: bool  # an alert fired again before the target had lived for long enough
    looks: list[dict[str, Any]]  # verification looks: {"at", "look"}
    verification: str
    wait_until: str | None  # set: the next visit begins with an interrupt until then
    wait_timer: str  # what the timer is for, for people
    outcome: Outcome | None
