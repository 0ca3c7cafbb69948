"""The rules' conclusion: from signs in the evidence to a cause, with a confidence that the signs bear out.

Pure, and deaf to what log lines claim or ask for: a line counts only for the fixed signs in it. A restart is
recommended for what a restart cures, and nothing is above ``MOST``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sreops.domain.causes.analysis import Analysis, Brief, Category, RecommendedAction
from sreops.domain.causes.change_signs import DEPLOYMENT, ELSEWHERE, MECHANISMS, change_signs
from sreops.domain.causes.event_signs import event_signs
from sreops.domain.causes.log_signs import LOG_SIGNS, RECOVERED
from sreops.domain.causes.neighbour_signs import neighbour_signs, peer_signs
from sreops.domain.causes.state_signs import StateSign, container_signs, metric_signs, normal_again
from sreops.domain.causes.taxonomy import CAUSES
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.text.patterns import first_line, pattern_matches
from sreops.domain.text.redaction import one_line

MOST = 0.92
"""The rules are never surer than this."""
SECOND_SOURCE = 0.12
"""What an independent sign of the same cause, from another kind of evidence, adds."""
RECOVERY_COST = 0.25
"""What a line costs that says it is over."""
RIVAL_COST = 0.12
"""What another cause with signs as strong costs."""
RIVAL_WITHIN = 0.08
FROM_THE_ALERT = 0.6
"""The alert's own text is somebody's guess: its signs count by this factor."""
UNKNOWN_CONFIDENCE = 0.2
DECISIVE = 0.7
"""Without a sign of this strength no sum of signs reaches it: a person looks first."""
ENOUGH = 0.45
"""Below this a deeper cause explains nothing."""
_SHOWS = 0.6
"""From this strength on another cause shows by itself, so that a change beside it explains nothing more."""
EXPLAINS_WITHIN = 0.2
"""A deeper cause explains a shallower one unless its signs are weaker by more than this."""
_UNDONE_BY_RECOVERY = frozenset(
    {
        Category.connection_refused,
        Category.dependency_down,
        Category.dns_failure,
        Category.rate_limited,
        Category.replication_lag,
        Category.queue_backlog,
        Category.bad_deploy,
        Category.crash_loop,
        Category.unhealthy,
        Category.latency,
        Category.error_rate,
    }
)


@dataclass(frozen=True)
class Sign:
    """One sign found: ``source`` tells independent ones apart, ``quote`` is the line or number behind it."""

    category: Category
    name: str
    strength: float
    evidence_id: str
    source: str
    quote: str = ""


@dataclass(frozen=True)
class _Verdict:
    category: Category
    score: float
    signs: tuple[Sign, ...]


def conclude(brief: Brief) -> Analysis:
    """Conclude from the brief; ``unknown`` with low confidence where no sign is found."""
    signs = [*_evidence_signs(brief.evidence), *_alert_signs(brief)]
    # a peer's illness is no second sign and no rival of anything: it is told where there is nothing else
    signs = signs or [_of_state(state) for state in peer_signs(brief.evidence)]
    over = _recovery(brief.evidence)
    verdicts = _verdicts(signs, recovered=over is not None)
    if changed := [_of_state(state) for state in change_signs(brief.evidence)]:
        verdicts = _with_change(changed, signs, verdicts, recovered=over is not None)
    chosen = _deepest(verdicts)
    if chosen is None or chosen.score < 0.5:
        normal = normal_again(brief.evidence)
        if normal and not any(sign.strength >= 0.5 and sign.source != "alert" for sign in signs):
            return _false_alarm(normal, brief)
    if chosen is None:
        return _unknown(brief)
    rivals = _rivals(chosen, verdicts)
    confidence = max(0.05, chosen.score - (RIVAL_COST if rivals else 0.0))
    return _analysis(chosen, rivals, verdicts, confidence, brief, over)


def _with_change(
    changed: Sequence[Sign], signs: Sequence[Sign], verdicts: list[_Verdict], *, recovered: bool
) -> list[_Verdict]:
    """Weigh a change that came right before the onset: unless something outside, or how it goes wrong, shows by itself.

    Of what is left, the change explains whatever the service shows: it is the deeper cause.
    """
    own = [verdict for verdict in verdicts if verdict.signs[0].source != "alert" and verdict.score >= _SHOWS]
    if any(verdict.category in ELSEWHERE or verdict.category in MECHANISMS for verdict in own):
        return verdicts
    weighed = _verdicts([*signs, *changed], recovered=recovered)
    # what a line says of a recovery does not undo what was deployed
    whole = [
        verdict for verdict in _verdicts([*signs, *changed], recovered=False) if verdict.category is Category.bad_deploy
    ]
    rest = [verdict for verdict in weighed if verdict.category is not Category.bad_deploy]
    return sorted([*whole, *rest], key=lambda verdict: (-verdict.score, verdict.category.value))


def _evidence_signs(evidence: Sequence[Evidence]) -> Iterator[Sign]:
    limits = metric_signs(evidence)
    for state in (*container_signs(evidence), *event_signs(evidence), *limits, *neighbour_signs(evidence)):
        yield _of_state(state)
    for item in evidence:
        if item.kind in (EvidenceKind.logs, EvidenceKind.container):
            yield from _text_signs(item.text, item.id, item.kind.value, 1.0)


def _alert_signs(brief: Brief) -> Iterator[Sign]:
    """What the alert itself says: names and annotations, weighed down, and never enough to act on."""
    cited = next((item.id for item in brief.evidence if item.kind is EvidenceKind.alert), "")
    for event in brief.alerts[:5]:
        texts = [event.alertname, *(event.annotations.get(key, "") for key in ("summary", "description", "message"))]
        yield from _text_signs("\n".join(texts), cited, "alert", FROM_THE_ALERT)


def _text_signs(text: str, evidence_id: str, source: str, weight: float) -> Iterator[Sign]:
    for sign in LOG_SIGNS:
        line = first_line(sign.pattern, text, but_not=sign.but_not)
        if line is not None:
            name = _said_by(source, sign.name)
            yield Sign(sign.category, name, sign.strength * weight, evidence_id, source, one_line(line, 200))


_IN_THE_LOG = re.compile(r"the log speaks of | stands? in the log")


def _said_by(source: str, name: str) -> str:
    """Return a sign's name with who says so: an alert's text is somebody's guess, and no line of a log."""
    if source == "alert":
        return f"the alert's text says: {_IN_THE_LOG.sub('', name)}"
    return name if source == "logs" else name.replace("the log", "the engine's record")


def _of_state(state: StateSign) -> Sign:
    return Sign(state.category, state.name, state.strength, state.evidence_id, state.source)


def _recovery(evidence: Sequence[Evidence]) -> Sign | None:
    for item in evidence:
        if item.kind is EvidenceKind.logs and pattern_matches(RECOVERED, item.text):
            line = first_line(RECOVERED, item.text)
            return Sign(
                Category.false_alarm, "a line says that it is over", 0, item.id, "logs", one_line(line or "", 200)
            )
    return None


def _verdicts(signs: Sequence[Sign], *, recovered: bool) -> list[_Verdict]:
    """Score each category: its strongest sign, more for an independent second, less for a recovery."""
    grouped: Mapping[Category, list[Sign]] = defaultdict(list)
    for sign in signs:
        grouped[sign.category].append(sign)
    verdicts = []
    for category, found in grouped.items():
        found.sort(key=lambda sign: -sign.strength)
        score = found[0].strength
        if any(sign.source != found[0].source and sign.source != "alert" for sign in found[1:]):
            score += SECOND_SOURCE
        if found[0].strength < DECISIVE:
            score = min(score, DECISIVE - 0.01)
        if recovered and category in _UNDONE_BY_RECOVERY:
            score -= RECOVERY_COST
        verdicts.append(_Verdict(category, min(MOST, max(0.0, score)), tuple(found)))
    verdicts.sort(key=lambda verdict: (-verdict.score, verdict.category.value))
    return verdicts


def _deepest(verdicts: Sequence[_Verdict]) -> _Verdict | None:
    """Return the deepest cause with enough signs, else the best scored; a symptom does not hide its cause."""
    enough = [verdict for verdict in verdicts if verdict.score >= ENOUGH]
    if not enough:
        return verdicts[0] if verdicts and verdicts[0].score > UNKNOWN_CONFIDENCE else None
    strongest = max(verdict.score for verdict in enough)
    near = [verdict for verdict in enough if verdict.score >= strongest - EXPLAINS_WITHIN]
    best = max(near, key=lambda verdict: (CAUSES[verdict.category].depth, verdict.score))
    for verdict in _rivals(best, enough):
        if CAUSES[best.category].action.acts and not CAUSES[verdict.category].action.acts:
            return verdict  # as likely as not, acting would not help: the safer reading is told
    return best


def _rivals(chosen: _Verdict, verdicts: Sequence[_Verdict]) -> list[_Verdict]:
    """Return causes as deep and about as strong that ask for something else; the same cure is no rival."""
    cause = CAUSES[chosen.category]
    return [
        verdict
        for verdict in verdicts
        if CAUSES[verdict.category].depth >= cause.depth
        and CAUSES[verdict.category].action is not cause.action
        and verdict.score >= chosen.score - RIVAL_WITHIN
    ]


def _analysis(
    chosen: _Verdict,
    rivals: Sequence[_Verdict],
    verdicts: Sequence[_Verdict],
    confidence: float,
    brief: Brief,
    over: Sign | None,
) -> Analysis:
    cause = CAUSES[chosen.category]
    lines = ["Signs: " + "; ".join(_told(sign) for sign in chosen.signs[:4]) + "."]
    if rivals:
        others = ", ".join(f"{verdict.category.value} ({verdict.signs[0].name})" for verdict in rivals)
        lines.append(f"As strong: {others}; so the confidence is lowered.")
    alike = [
        verdict.category.value
        for verdict in verdicts
        if verdict is not chosen and verdict not in rivals and _as_deep(verdict, chosen)
    ]
    if alike:
        lines.append(f"Also possible: {', '.join(alike)}.")
    explained = [verdict.category.value for verdict in verdicts if not _as_deep(verdict, chosen)]
    if explained:
        lines.append(f"Taken as effects of it: {', '.join(explained)}.")
    if over is not None:
        lines.append(f"Against it: {_told(over)}.")
    lines += _gaps(brief)
    # No log text in here: runbooks' root_cause patterns are matched against this sentence.
    return Analysis(
        root_cause=f"{cause.of(_service(brief))}: {_decisive(chosen)}.",
        category=chosen.category,
        confidence=round(confidence, 2),
        recommended_action=_action(chosen, brief),
        reasoning="\n".join(lines)[:8000],
        evidence=_cited([*chosen.signs, *(sign for verdict in rivals for sign in verdict.signs[:1])]),
    )


_REPAIRS = ("exec_in_container", "play_job", "run_pipeline", "call_webhook")


def _action(chosen: _Verdict, brief: Brief) -> RecommendedAction:
    """Return what helps: a rollback only where it is known what was deployed, a repair only where one is on offer.

    What is told to people otherwise may be cured by what the author of a runbook wrote for it; whether it is for
    this cause is the runbook's own condition.
    """
    if any(sign.source == DEPLOYMENT for sign in chosen.signs):
        return RecommendedAction.rollback
    action = CAUSES[chosen.category].action
    on_offer = any(name in offered.action for offered in brief.offered for name in _REPAIRS)
    return RecommendedAction.repair if on_offer and not action.acts and CAUSES[chosen.category].depth > 1 else action


def _as_deep(verdict: _Verdict, chosen: _Verdict) -> bool:
    return CAUSES[verdict.category].depth >= CAUSES[chosen.category].depth


def _service(brief: Brief) -> str:
    return one_line(brief.alerts[0].service, 80) if brief.alerts else "the service"


def _decisive(chosen: _Verdict) -> str:
    """Name the strongest sign and where it stands, and the strongest from another source, if there is one."""
    first = chosen.signs[0]
    other = next((sign for sign in chosen.signs[1:] if sign.source not in (first.source, "alert")), None)
    if other is None:
        return f"{first.name}{_where(first)}"
    if other.name == first.name:
        return f"{first.name} ({first.evidence_id}, {other.evidence_id})"
    return f"{first.name}{_where(first)}, and {other.name}{_where(other)}"


def _where(sign: Sign) -> str:
    return f" ({sign.evidence_id})" if sign.evidence_id else " (the alert's own text)"


def _false_alarm(normal: Sequence[StateSign], brief: Brief) -> Analysis:
    cause = CAUSES[Category.false_alarm]
    return Analysis(
        root_cause=f"{cause.of(_service(brief))}: {normal[0].name} ({normal[0].evidence_id}).",
        category=Category.false_alarm,
        confidence=round(min(0.6 + 0.05 * (len(normal) - 1), 0.7), 2),
        recommended_action=cause.action,
        reasoning="; ".join(f"{sign.name} ({sign.evidence_id})" for sign in normal) + "; no other sign of a fault.",
        evidence=tuple(dict.fromkeys(sign.evidence_id for sign in normal)),
    )


def _unknown(brief: Brief) -> Analysis:
    cause = CAUSES[Category.unknown]
    looked = sum(item.kind is not EvidenceKind.gap for item in brief.evidence)
    lines = [f"{looked} pieces of evidence were read, and none holds a sign that the rules know.", *_gaps(brief)]
    return Analysis(
        root_cause=f"{cause.of(_service(brief))}.",
        category=Category.unknown,
        confidence=UNKNOWN_CONFIDENCE if looked else 0.05,
        recommended_action=cause.action,
        reasoning="\n".join(lines)[:8000],
    )


def _told(sign: Sign) -> str:
    return f"{sign.name}{_where(sign)}" + (f": “{sign.quote}”" if sign.quote else "")


def _gaps(brief: Brief) -> list[str]:
    missing = [one_line(item.finding, 120) for item in brief.evidence if item.kind is EvidenceKind.gap]
    return [f"Not known: {'; '.join(missing[:5])}."] if missing else []


def _cited(signs: Sequence[Sign]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sign.evidence_id for sign in signs if sign.evidence_id))
