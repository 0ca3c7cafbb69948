"""Situations that an engineer on call knows, and what sreops must make of each: one row, one situation.

A row says what happens, in order; how the incident must end (or where it must stand); and every disruptive event of
the engine from the beginning on, whoever caused it, exactly and in order. ``ours`` counts those that sreops caused.
All of them are played in the sandbox, and on a real Docker Engine with a real Prometheus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integration.situation_deeds import (
    MIGRATES,
    Deed,
    answer_lost,
    asks,
    away,
    breaks,
    by_somebody,
    comes_back,
    decide,
    dies_again,
    ended,
    engine_fails,
    failed_sources,
    fire,
    grafana_fires,
    is_over,
    ledger_down,
    line_only,
    namesakes,
    pause_file,
    reaches,
    recorded,
    repeat,
    replicas,
    resolve,
    silenced,
    switch,
    thinks,
    together,
    was_cured,
    will_not_start,
    writes,
)
from integration.situation_stage import Beginning, State

EVER = json.dumps([{"name": "year end", "start": "2020-01-01T00:00:00Z"}])
OVER = json.dumps([{"name": "last year", "start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}])
WAITS = "awaiting_approval"
DENIED = "policy_denied"
ILL, FILLING, WELL = Beginning(), Beginning(state=State.filling), Beginning(state=State.well)
PROPOSES, FAULTY = Beginning(state=State.well, model=True), Beginning(faulty=True)


@dataclass(frozen=True)
class Situation:
    """A row; ``why`` are words that the decision must hold, ``{patient}`` the patient's name in them."""

    name: str
    happens: Sequence[Deed]
    ends: str
    events: Sequence[str] = ()
    ours: int | None = None  # None: as many as there are events
    why: str = ""
    begins: Beginning = ILL
    settings: Mapping[str, str] = field(default_factory=dict)
    of: str = ""  # the service whose incident it is; empty: the patient's
    episode: int = 1
    incidents: int = 1


def acts(name: str, *happens: Deed, ends: str = "fixed", **more: Any) -> Situation:
    """Make a row in which payments is restarted once."""
    return Situation(name, happens, ends, **{"events": ["restart payments"], **more})


def stays(name: str, *happens: Deed, ends: str, **more: Any) -> Situation:
    """Make a row in which sreops does nothing."""
    return Situation(name, happens, ends, **{"ours": 0, **more})


def by(runbook: str, **labels: str) -> Deed:
    """Send an alert that names its runbook."""
    return fire(runbook_id=runbook, **{"escalate_threshold": "0", **labels})


def asked(**labels: str) -> Sequence[Deed]:
    """Send an alert of a supervised service, and wait until its plan waits."""
    return (fire(tier="supervised", **labels), reaches(WAITS))


OTHER = (fire("Other", service="catalog", agent_action="observe"), ended("low_confidence", service="catalog"))
APPROVE, REJECT = decide("approve"), decide("reject")
SHORT = {"SREOPS_VERIFY__TIMEOUT_S": "0.5"}

WHO_MAY = (
    acts("tier autonomous: restarted once, proven, closed", fire()),
    acts("a warning is worked on like a critical one", fire(severity="warning")),
    acts("tier supervised, approved", *asked(), APPROVE),
    stays("tier supervised, nobody has decided", *asked(), ends=WAITS, why="tier supervised"),
    stays("tier supervised, rejected", *asked(), REJECT, ends="approval_rejected"),
    stays("tier supervised, nobody decides in time", fire(tier="supervised"), ends="approval_expired",
          settings={"SREOPS_POLICY__APPROVAL_TTL_S": "1.5"}),
    stays("an approval of another plan", *asked(), decide("approve", plan_hash="0" * 16, answer=409), ends=WAITS),
    acts("an approval counts once", *asked(), APPROVE, decide("approve", answer=409)),
    stays("tier human_only never enters", fire(tier="human_only"), *OTHER, ends="none"),
    stays("no tier is supervised", fire(tier=""), ends=WAITS),
    stays("what says that it is information", fire(severity="info"), recorded, ends="none", incidents=0),
    stays("autonomous from an anonymous sender", fire(), ends=WAITS,
          settings={"SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS": "false"}),
    stays("the server's ceiling", fire(), ends=WAITS, why="SREOPS_POLICY__MAX_TIER",
          settings={"SREOPS_POLICY__MAX_TIER": "supervised"}),
    stays("the target's own ceiling", fire(), ends=WAITS, why="sreops.tier of",
          begins=Beginning(labels={"sreops.tier": "supervised"})),
    stays("a target that is left to people", fire(), ends=DENIED, why="is left to people",
          begins=Beginning(labels={"sreops.tier": "human_only"})),
    stays("a protected target", fire(), ends=DENIED, why="is never acted upon",
          begins=Beginning(labels={"sreops.protect": "true"})),
    stays("a target that is not enabled", fire(), ends=DENIED, why="is not allowed",
          begins=Beginning("recommendations")),
    acts("a glob enables a target", fire(), begins=Beginning("recommendations"), events=["restart recommendations"],
         settings={"SREOPS_POLICY__TARGETS": "recomm*"}),
    stays("agent_action observe", fire(agent_action="observe"), ends="observe_only"),
    stays("an agent_action that nobody knows", fire(agent_action="wipe"), ends=WAITS, why="'wipe'"),
    stays("a threshold above the confidence", fire(escalate_threshold="0.99"), ends="low_confidence"),
    stays("a runbook that is not there", by("no-such-runbook"), ends="unknown_runbook"),
    stays("a runbook that asks a person", by("supervised-restart"), ends=WAITS, why="autonomy is supervised"),
    stays("a runbook that is never run", by("never-restart"), ends=DENIED, why="autonomy is never"),
    stays("a shadow, whoever approves", by("shadow-restart"), ended(DENIED), decide("approve", answer=409),
          ends=DENIED, why="is a shadow"),
    stays("autonomy that is not earned yet", by("earned-restart"), ends=WAITS, why="0 of 5 verified fixes"),
    stays("a dry run", fire(), ends=DENIED, settings={"SREOPS_DRY_RUN": "true"}, why="dry run"),
    stays("no engine is configured", fire(), ends=DENIED, settings={"SREOPS_DOCKER__HOST": ""}),
)  # fmt: skip

PROOF = (
    stays("a log line alone is a proposal", line_only, fire(), ends=WAITS, begins=WELL, why="nothing but text speaks"),
    stays("a dependency is down: the messenger is left alone", ledger_down, fire(), ends="action_not_remediation",
          begins=WELL, events=["stop ledger-db"]),
    stays("nothing is wrong by the runbook's own conditions", by("restart-on-memory"), ends="action_not_remediation",
          begins=WELL),
    stays("neither logs nor metrics can be asked", failed_sources, fire(), ends="no_runbook_matched", settings=SHORT),
    stays("an alert that has fired for an hour", fire(ago_s=3600), ends=WAITS, why="the alert has fired for"),
    stays("a model that is sure without a proof", by("restart-on-memory"), ends=WAITS, begins=PROPOSES,
          why="nothing but text speaks"),
    stays("two projects have one of this name", namesakes, by("supervised-restart", container="", service="db"),
          begins=PROPOSES, ends=DENIED, of="db", why="a person chooses"),
    acts("of namesakes the alert's project tells", namesakes,
         by("supervised-restart", container="", service="db", compose_project="shop"), reaches(WAITS, "db"),
         decide("approve", service="db"), begins=PROPOSES, of="db", events=["restart shop-db-1"], settings=SHORT,
         ends="verification_unknown"),
    acts("all replicas, one after another", replicas, by("restart-all", container="", service="queue"),
         reaches(WAITS, "queue"), decide("approve", service="queue"), begins=PROPOSES, of="queue", settings=SHORT,
         events=["restart shop-queue-1", "restart shop-queue-2"], ends="verification_unknown"),
)  # fmt: skip

WHEN = (
    stays("silenced in Grafana", silenced, fire(), ends=DENIED, why="is silenced in Grafana"),
    stays("silenced while the plan waits", *asked(), silenced, APPROVE, ends=DENIED, why="is silenced"),
    stays("a change freeze", fire(), ends=DENIED, settings={"SREOPS_POLICY__FREEZES": EVER}, why="year end"),
    acts("a freeze that is over", fire(), settings={"SREOPS_POLICY__FREEZES": OVER}),
    stays("maintenance by the settings", fire(), ends=DENIED, settings={"SREOPS_POLICY__MAINTENANCE": EVER},
          why="year end"),
    stays("maintenance by the alert's label", fire(sreops_maintenance="true"), ends=DENIED, why="under maintenance"),
    stays("an Alertmanager that can't be asked", fire(), ends=WAITS, why="can't be asked",
          settings={"SREOPS_ALERTMANAGER__URL": "http://127.0.0.1:9"}),
    stays("automation is paused", switch("pause"), fire(), ends=DENIED, why="paused"),
    stays("automation is paused by a file", pause_file, fire(), ends=DENIED, why="paused"),
    acts("a pause that was lifted before", switch("pause"), switch("resume"), fire()),
    stays("an approval while paused is kept", *asked(), switch("pause"), APPROVE,
          thinks("automation is paused: it is done once"), ends="remediating"),
    acts("an approval while paused, carried out once that is lifted", *asked(), switch("pause"), APPROVE,
         thinks("automation is paused: it is done once"), switch("resume"),
         settings={"SREOPS_POLICY__SLOT_RETRY_S": "0.3"}),
    acts("a second trouble within the cooldown", fire(), ended("fixed"), resolve(), breaks, fire("AnotherAlert"),
         ends=DENIED, why="cooldown", incidents=2),
    stays("no attempt is allowed", fire(), ends=DENIED, settings={"SREOPS_POLICY__ATTEMPTS_PER_HOUR": "0"},
          why="and 0 are allowed"),
    stays("the host has had its acts for this hour", fire(), ends=DENIED, why="on the engine, and 0 are allowed",
          settings={"SREOPS_POLICY__HOST_ACTS_PER_HOUR": "0"}),
    stays("the project has had its acts for this hour", fire(), ends=DENIED, why="on Compose project 'shop', and 0",
          settings={"SREOPS_POLICY__PROJECT_ACTS_PER_HOUR": "0"}),
    stays("the breaker is open after a failure", engine_fails(409), fire(), ended("step_failed"), resolve(),
          fire("AnotherAlert"), ends=DENIED, incidents=2, settings={"SREOPS_POLICY__BREAKER_FAILURES": "1"},
          why="closed to automation", begins=FAULTY),
)  # fmt: skip

MEANWHILE = (
    stays("it heals by itself, and its alert resolves", *asked(escalate_threshold="0"), was_cured, resolve(),
          ends="recovered", begins=FILLING),
    stays("a resolve because its rule was edited", *asked(), resolve(grafana_state_reason="Updated"),
          ends="resolved_without_proof"),
    stays("a resolve because its series died with it", *asked(), by_somebody("kill"), resolve(),
          ends="resolved_without_proof", events=["kill payments"]),
    stays("a resolve because it was removed", *asked(), by_somebody("remove"), resolve(),
          ends="resolved_without_proof", events=["kill payments", "destroy payments"]),
    stays("a resolve that Grafana contradicts", *asked(), grafana_fires(), resolve(),
          thinks("still fires: the work goes on"), ends=WAITS),
    acts("a resolve that Grafana contradicts, then approved", *asked(), grafana_fires(), resolve(),
         thinks("still fires: the work goes on"), APPROVE, reaches("verifying"), is_over),
    acts("somebody restarts it while the plan waits", *asked(), grafana_fires(), by_somebody("restart"), APPROVE,
         ends=DENIED, ours=0, why="somebody else started"),
    acts("somebody has restarted it since the alert", by_somebody("restart"), breaks, fire(ago_s=90), ends=WAITS,
         ours=0, why="it may have helped already"),
    stays("a migration starts while the plan waits", by("careful-restart", tier="supervised"), reaches(WAITS),
          writes(MIGRATES), APPROVE, ends=DENIED, why="not_when holds now"),
    stays("whether a migration runs can't be asked", away("loki"), by("careful-restart"), ends=WAITS,
          settings={"SREOPS_LOKI__TIMEOUT_S": "1"}, why="can't be asked now"),
    acts("its alert is repeated while it is worked on", fire(), repeat(3)),
    acts("five alerts of one service, of which nobody knows whether they are over",
         together(*(f"Alert{number}" for number in range(5))), ends="verification_unknown", settings=SHORT),
    stays("one that joins asks for observation only", *asked(), fire("Other", agent_action="observe"),
          thinks("the one that waits stands"), reaches(WAITS), APPROVE, ends=DENIED, episode=2,
          why="agent_action is observe"),
    acts("a worse one joins while the plan waits, which stands", *asked(severity="warning"),
         fire("Down", tier="supervised"), thinks("Analysed again because of who joined"), reaches(WAITS), APPROVE,
         episode=2, ends="verification_unknown", settings=SHORT),
    acts("it fires again after the fix", fire(), ended("fixed"), resolve(), fire(), ends="refired", episode=2),
    stays("a person closes it while the plan waits", *asked(), asks("close", was="other", cause="a test"),
          ends="closed"),
    acts("a person gives it back after a rejection", *asked(), REJECT, ended("approval_rejected"), asks("rerun"),
         reaches(WAITS), APPROVE, episode=2),
    stays("a storm is gathered, and nothing of it is done", *OTHER, fire("B"), ends="storm", incidents=2,
          settings={"SREOPS_CORRELATION__STORM_INCIDENTS": "1"}),
)  # fmt: skip

FAILS = (
    acts("the engine's answer is lost after it has acted", answer_lost(acts=True), fire(), begins=FAULTY),
    stays("the engine never did what it was asked", answer_lost(acts=False), fire(), ends="outcome_unknown",
          begins=FAULTY),
    stays("the engine refuses", engine_fails(409), fire(), ends="step_failed", begins=FAULTY),
    stays("it does not come up again", will_not_start, fire(), ends="step_failed", events=["stop payments"],
          why="DOWN: {patient} is down"),
    acts("a restart does not help", comes_back, fire(), ends="remediation_ineffective",
         settings={"SREOPS_VERIFY__TIMEOUT_S": "2"}),
    acts("it dies again after the restart", dies_again, fire(), ends="remediation_ineffective", ours=1,
         events=["restart payments", "die payments", "start payments"]),
    stays("it may take ten minutes to stop", fire(), ends=WAITS, why="601 s to stop",
          begins=Beginning(stop_timeout_s=601)),
    stays("it may take for ever to stop", fire(), ends=WAITS, why="may never end", begins=Beginning(stop_timeout_s=-1)),
    acts("GitLab is away", away("gitlab"), fire()),
)  # fmt: skip

SITUATIONS = (*WHO_MAY, *PROOF, *WHEN, *MEANWHILE, *FAILS)
