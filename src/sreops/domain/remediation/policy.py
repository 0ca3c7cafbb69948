"""Policy: may this plan act, and must a person be asked? Pure; every answer has its reasons."""

import math
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, Tier
from sreops.domain.alerts.routing import tier_of
from sreops.domain.remediation.places import Kind, too_many
from sreops.domain.remediation.stopping import stop_too_long
from sreops.domain.runbooks.runbook import Autonomy
from sreops.domain.text.patterns import PatternInvalid, glob_matches


class Verdict(StrEnum):
    """Policy's answer."""

    allow = "allow"
    needs_approval = "needs_approval"
    deny = "deny"


class TargetFacts(BaseModel):
    """A target as policy sees it; ``found`` False: the engine knows no such container or service.

    ``protected`` says why it is never acted upon, if so. ``standing`` is its standing identity, ``aliases`` the names
    by which the engine knows it, ``choice`` the candidates where several have this name. ``stop_grace_s`` is how long
    the step lets it take to stop (infinite: for ever; 0: the step stops nothing). ``last_well``: of several replicas
    it is the last one that is not ill. ``started_at`` is when somebody else started it, since the alert began.
    ``busy`` says what still runs in it, if so: what follows waits for its end. Outside the engine, ``listed``: the
    settings name it, which allows it, and ``refused`` says why it can't be acted upon, if so.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    found: bool
    labels: dict[str, str] = {}
    stop_grace_s: float = 0.0
    standing: str = ""
    aliases: frozenset[str] = frozenset()
    choice: tuple[str, ...] = ()
    protected: str = ""
    last_well: bool = False
    started_at: AwareDatetime | None = None
    busy: str = ""
    listed: bool = False
    refused: str = ""


class PolicyFacts(BaseModel):
    """What the store knows about recent automation, for one service and runbook.

    ``failures_in_a_row`` counts failed or ineffective remediations since the last success or reset,
    on the service or the runbook, whichever is more. ``fixes_in_a_row`` counts verified fixes that a person had
    approved, of this runbook on this service, since the last that failed or is unknown. ``running_now``
    counts incidents between their first intent and their verification, over all replicas, this one not counted.
    ``acts_lately`` counts the effects of the last hour on each host and in each project of the targets
    (``places.places_of``), this episode's not.
    """

    model_config = ConfigDict(frozen=True)
    paused: bool = False
    paused_why: str = ""
    last_effect_at: AwareDatetime | None = None
    effects_last_hour: int = 0
    running_now: int = 0
    service_busy: bool = False
    failures_in_a_row: int = 0
    fixes_in_a_row: int = 0
    acts_lately: dict[str, int] = {}


class PolicyLimits(BaseModel):
    """The settings that policy reads."""

    model_config = ConfigDict(frozen=True)
    targets: tuple[str, ...] = ()
    attempts_per_hour: int = 3
    max_concurrent_effects: int = 4
    breaker_failures: int = 3
    max_event_age_s: float = 900.0
    max_tier: Tier = Tier.autonomous  # the server's ceiling, whatever a sender says
    dry_run: bool = False
    earned_fixes: int = 5
    host_acts_per_hour: int = 100  # on one engine
    project_acts_per_hour: int = 50  # in one Compose or GitLab project

    def acts_in(self, kind: Kind) -> int:
        """Return how many acts an hour may land on a host, or in a project."""
        return self.host_acts_per_hour if kind == "host" else self.project_acts_per_hour


class PolicyInput(BaseModel):
    """Everything that policy decides from."""

    model_config = ConfigDict(frozen=True)
    now: AwareDatetime
    tier: Tier
    agent_action: str
    autonomy: Autonomy
    shadow: bool = False
    cooldown_s: float
    targets: tuple[TargetFacts, ...]
    facts: PolicyFacts
    limits: PolicyLimits
    event_received_at: AwareDatetime
    alert_started_at: AwareDatetime | None = None
    approved: bool = False  # a person has approved exactly this plan
    second_proof: tuple[str, ...] = ()  # what bears the cause out besides log text, in words (``proof``)
    elsewhere: tuple[str, ...] = ()  # what says that another service is the trouble, in words (``proof``)
    effects_before: int = 0  # in earlier episodes of this incident
    asked_at: AwareDatetime | None = None  # when the plan was put to a person, who knows what was before that
    begun: bool = False  # a step of it was taken already, on all that was known then
    excluded: str = ""  # why the runbook's ``not_when`` holds now
    quiet: tuple[str, ...] = ()  # silences, maintenance windows and freezes that hold now, in words
    unasked: tuple[str, ...] = ()  # what may speak against it and can't be asked, in words
    always_asked: tuple[str, ...] = ()  # what of the plan a person decides whatever tier and runbook say, in words


class Wishes(BaseModel):
    """What an incident's alerts ask of automation, the most cautious of each."""

    model_config = ConfigDict(frozen=True)
    tier: Tier
    agent_action: str


class PolicyDecision(BaseModel):
    """The verdict; ``wait``: only a free slot is missing (allow), or only a pause forbids what was approved (deny)."""

    model_config = ConfigDict(frozen=True)
    verdict: Verdict
    reasons: tuple[str, ...]
    wait: bool = False


TIER_LABEL = "sreops.tier"
"""The label with which a target says how far sreops may go on its own with it, whoever's alert asks for it."""
_TIERS = (Tier.autonomous, Tier.supervised)  # any other is left to people
DRY_RUN = "dry run: sreops only says what it would do"
SHADOW = "the runbook is a shadow: sreops only says what it would do, whoever approves"
MAX_CLOCK_SKEW_S = 60.0
"""How far a time from another process may lie in the future before it is not believed."""


def most_cautious(alerts: Sequence[AlertEvent]) -> Wishes:
    """Return what holds for an incident of several alerts: one that joins may narrow what is allowed, never widen it.

    ``observe`` outranks any word that policy does not know, and that outranks ``investigate`` and ``remediate``.
    """
    tier = lowest([alert.tier for alert in alerts])
    plain = ("remediate", "investigate")

    def caution(wish: str) -> int:
        return 2 if wish == "observe" else 0 if wish in plain else 1

    wishes = [alert.agent_action.strip().lower() for alert in alerts]
    return Wishes(tier=tier, agent_action=max(wishes, key=caution))


def lowest(tiers: Sequence[Tier]) -> Tier:
    """Return the tier that leaves most to people; what is neither autonomous nor supervised leaves all."""
    return max(tiers, key=lambda one: _TIERS.index(one) if one in _TIERS else len(_TIERS))


def tier_of_target(target: TargetFacts) -> Tier:
    """Return what a target's own label allows; without one all, and one that can't be read asks a person."""
    label = target.labels.get(TIER_LABEL, "").strip()
    return Tier.autonomous if not label else (tier_of(label) or Tier.supervised)


def _tier(given: PolicyInput) -> tuple[Tier, str]:
    """Return the lowest of the alert's tier, the server's ceiling and the targets' own, and whose it is."""
    held = [(given.tier, ""), (given.limits.max_tier, " (SREOPS_POLICY__MAX_TIER)")]
    held += [(tier_of_target(target), f" ({TIER_LABEL} of target {target.name!r})") for target in given.targets]
    tier = lowest([one for one, _ in held])
    return tier, next(whose for one, whose in held if one is tier)


def decide(given: PolicyInput) -> PolicyDecision:
    """Decide whether a plan may act; all reasons are listed, and a deny outranks whatever a person approved.

    ``approved`` answers what needed a person, nothing else.
    """
    denied = [*_implausible(given), *_closed(given), *_forbidden(given), *_recent(given), *_targets(given)]
    standings = [target.standing for target in given.targets]
    denied += too_many(standings, given.facts.acts_lately, given.limits.acts_in)
    denied += _overtaken(given)
    if denied:
        only_paused = given.facts.paused and len(denied) == 1
        return PolicyDecision(verdict=Verdict.deny, reasons=tuple(denied), wait=only_paused and given.approved)
    asks = _asks(given)
    if asks and not given.approved:
        return PolicyDecision(verdict=Verdict.needs_approval, reasons=tuple(asks))
    alone = f"tier and runbook are autonomous; besides log text: {'; '.join(given.second_proof)}"
    reasons = [f"a person approved this plan ({ask})" for ask in asks] or [alone]
    waits = _waits(given)
    return PolicyDecision(verdict=Verdict.allow, reasons=(*reasons, *waits), wait=bool(waits))


def target_allowed(target: TargetFacts, globs: Sequence[str]) -> bool:
    """Say whether a target is on the allowlist: its own label says so, or a glob names it."""
    if target.listed or target.labels.get("sreops.enable", "").strip().lower() == "true":
        return True
    try:
        names = {target.name, *target.aliases}
        return any(glob_matches(glob, name) for glob in globs for name in names)
    except PatternInvalid:
        return False  # a glob that can't be read allows nothing; settings are checked at start


def _implausible(given: PolicyInput) -> list[str]:
    """Numbers that no healthy store or setting gives: what can't be true can't allow anything."""
    limits, facts = given.limits, given.facts
    numbers = {
        "cooldown_s": given.cooldown_s,
        "attempts_per_hour": limits.attempts_per_hour,
        "max_concurrent_effects": limits.max_concurrent_effects,
        "breaker_failures": limits.breaker_failures,
        "max_event_age_s": limits.max_event_age_s,
        "effects_last_hour": facts.effects_last_hour,
        "running_now": facts.running_now,
        "failures_in_a_row": facts.failures_in_a_row,
        "fixes_in_a_row": facts.fixes_in_a_row,
        "earned_fixes": limits.earned_fixes,
        "host_acts_per_hour": limits.host_acts_per_hour,
        "project_acts_per_hour": limits.project_acts_per_hour,
        **{f"acts_lately of {place}": acts for place, acts in facts.acts_lately.items()},
    }
    wrong = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value) or value < 0]
    if (given.event_received_at - given.now).total_seconds() > MAX_CLOCK_SKEW_S:
        wrong.append("the event was received in the future: the clocks disagree")
    return wrong


def _closed(given: PolicyInput) -> list[str]:
    """What closes automation as a whole, or for this service or runbook."""
    reasons = []
    if given.limits.dry_run:
        reasons.append(DRY_RUN)
    if given.facts.paused:
        reasons.append("automation is paused" + (f": {given.facts.paused_why}" if given.facts.paused_why else ""))
    if given.facts.failures_in_a_row >= given.limits.breaker_failures:
        reasons.append(
            f"the last {given.facts.failures_in_a_row} remediations failed or did not help: "
            "closed to automation until a person resets it (POST /api/automation/resume)"
        )
    return reasons


def _forbidden(given: PolicyInput) -> list[str]:
    """What tier, runbook and alert rule out."""
    reasons = []
    tier, whose = _tier(given)
    if tier not in _TIERS:
        reasons.append(f"tier {tier.value}{whose} is left to people")
    if given.shadow:
        reasons.append(SHADOW)
    if given.autonomy not in (Autonomy.autonomous, Autonomy.earned, Autonomy.supervised):
        reasons.append(f"the runbook's autonomy is {given.autonomy.value}")
    if _wish(given) == "observe":
        reasons.append("the alert's agent_action is observe: analyse, never act")
    return reasons


def _overtaken(given: PolicyInput) -> list[str]:
    """What has happened since the plan was made, and whoever approved it did not know."""
    reasons = [f"nothing is done now: {why}" for why in given.quiet]
    reasons += [f"the runbook's not_when holds now: {given.excluded}"] if given.excluded else []
    if given.approved or given.begun:
        reasons += [
            f"{_started(target, given.now)} after this was decided: look whether that has helped"
            for target in given.targets
            if target.started_at is not None and (given.asked_at is None or target.started_at > given.asked_at)
        ]
    return reasons


def _started(target: TargetFacts, now: datetime) -> str:
    assert target.started_at is not None
    ago_s = max(0.0, (now - target.started_at).total_seconds())
    return f"somebody else started {target.name!r} {ago_s:.0f} s ago,"


def _recent(given: PolicyInput) -> list[str]:
    """What earlier remediations of the service rule out."""
    reasons = []
    last = given.facts.last_effect_at
    if last is not None and (ago := (given.now - last).total_seconds()) < given.cooldown_s:
        reasons.append(
            f"the last remediation was {max(ago, 0):.0f} s ago, and the cooldown is {given.cooldown_s:.0f} s"
        )
    if given.facts.effects_last_hour >= given.limits.attempts_per_hour:
        reasons.append(
            f"{given.facts.effects_last_hour} remediations in the last hour, "
            f"and {given.limits.attempts_per_hour} are allowed"
        )
    return reasons


def _targets(given: PolicyInput) -> list[str]:
    """What the targets rule out; the default is deny."""
    if not given.targets:
        return ["the plan names no target"]
    reasons = []
    for target in given.targets:
        if target.choice:
            reasons.append(
                f"target {target.name!r} may mean any of {', '.join(target.choice)}: a person chooses; the runbook's "
                "params.container names one, and an alert's labels (Compose project, Swarm stack, host) tell them apart"
            )
        elif target.refused:
            reasons.append(f"target {target.name!r}: {target.refused}")
        elif not target.found:
            reasons.append(f"target {target.name!r} was not found on the engine")
        elif target.protected:
            reasons.append(f"target {target.name!r} is never acted upon: {target.protected}")
        elif not target_allowed(target, given.limits.targets):
            reasons.append(
                f"target {target.name!r} is not allowed: give the container the label sreops.enable=true, "
                "or name it in SREOPS_POLICY__TARGETS"
            )
    return reasons


def _asks(given: PolicyInput) -> list[str]:
    """What a person must answer for."""
    reasons = []
    tier, whose = _tier(given)
    if tier is Tier.supervised:
        reasons.append(f"tier supervised{whose}")
    if given.autonomy is Autonomy.supervised:
        reasons.append("the runbook's autonomy is supervised")
    if given.autonomy is Autonomy.earned and given.facts.fixes_in_a_row < given.limits.earned_fixes:
        reasons.append(
            f"the runbook has not earned its autonomy on this service yet: {given.facts.fixes_in_a_row} of "
            f"{given.limits.earned_fixes} verified fixes in a row under approval"
        )
    if (wish := _wish(given)) not in ("investigate", "remediate"):
        reasons.append(f"the alert's agent_action is {wish[:80]!r}")
    if given.effects_before:
        reasons.append("something was done for this incident before, and after that nothing acts alone")
    reasons += given.always_asked
    age_s = (given.now - given.event_received_at).total_seconds()
    if not given.second_proof:
        reasons.append(
            "nothing but text speaks for the cause, which anyone can write: no engine state or event, series or "
            "health check of the target itself, since its last start, bears it out"
        )
    if given.elsewhere:
        reasons.append(f"the trouble may lie elsewhere: {'; '.join(given.elsewhere)}")
    if age_s > given.limits.max_event_age_s:
        reasons.append(f"the event is {age_s:.0f} s old, and {given.limits.max_event_age_s:.0f} s are trusted")
    elif given.alert_started_at is not None:
        fires_s = (given.now - given.alert_started_at).total_seconds()
        if fires_s > given.limits.max_event_age_s:
            told = f"the alert has fired for {fires_s:.0f} s"
            reasons.append(f"{told}, and {given.limits.max_event_age_s:.0f} s are trusted: much may have changed since")
    reasons += [
        f"target {target.name!r} is the last of its replicas that is not ill"
        for target in given.targets
        if target.last_well
    ]
    reasons += [
        f"{_started(target, given.now)} after the alert had begun: it may have helped already"
        for target in given.targets
        if target.started_at is not None
    ]
    reasons += given.unasked
    reasons += [why for target in given.targets if (why := stop_too_long(target.name, target.stop_grace_s))]
    return reasons


def _waits(given: PolicyInput) -> list[str]:
    """Reasons to wait: they go away by themselves, and nobody is asked."""
    reasons = []
    if given.facts.service_busy:
        reasons.append("another remediation of this service is running")
    if given.facts.running_now >= given.limits.max_concurrent_effects:
        reasons.append(
            f"{given.facts.running_now} remediations are running, and {given.limits.max_concurrent_effects} may at once"
        )
    reasons += [f"target {target.name!r} is busy: {target.busy}" for target in given.targets if target.busy]
    return reasons


def _wish(given: PolicyInput) -> str:
    return given.agent_action.strip().lower()
