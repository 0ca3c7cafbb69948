"""analyze_root_cause: the model where it answers, else the rules; who answered, and why, is recorded."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sreops.agent.inquiry.inquiry import IncidentInquiry, open_inquiry
from sreops.agent.resolve import ended_meanwhile
from sreops.agent.state import State
from sreops.agent.visit import Visit, escalated
from sreops.domain.causes.analysis import Brief
from sreops.domain.causes.second_opinion import Opinion, second_opinion
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Reason
from sreops.domain.model.cost import MICRO_USD
from sreops.domain.runbooks.matching import RULES, advised, offered
from sreops.errors import SreopsError
from sreops.ports import Analyst, AnalystAnswer
from sreops.telemetry import MODEL_CALLS, log

CALL_FAILED: Final = "analyst.call_failed"


async def analyze_root_cause(visit: Visit) -> State:
    """Ask the analysts in order; the first that answers is believed, as far as the rules and the evidence bear it.

    Of a storm's members the model is not asked: seventy of them would be seventy calls.
    """
    version = visit.tools.runbooks.version  # those that are offered are those that are chosen from
    brief = await _brief(visit)
    analysts = [analyst for analyst in visit.tools.analysts if analyst.name == RULES or visit.incident.storm_id is None]
    asks = any(analyst.name != RULES for analyst in analysts)
    inquiry = await open_inquiry(visit, brief.evidence) if asks and visit.tools.settings.llm.max_steps else None
    failures: list[str] = []
    for analyst in analysts:
        try:
            answer = await analyst.analyze(brief, timeout_s=visit.tools.settings.llm.deadline_s, inquiry=inquiry)
        except SreopsError as exc:
            MODEL_CALLS.labels(analyst.name, type(exc).__name__).inc()
            log.warning(CALL_FAILED, analyst=analyst.name, error=str(exc))
            failures.append(f"{analyst.name}: {exc}")
            visit.think(f"The {analyst.name} analyst gave no answer: {exc}")
            continue
        MODEL_CALLS.labels(analyst.name, "answered").inc()
        return State(**{**await _believe(visit, analyst, brief, answer, failures, inquiry), "runbooks": version})
    why = "; ".join(failures) or "no analyst is configured"
    usage = await _usage(visit, None)
    decision = {**(visit.incident.decision or {}), "model_usage": usage} if usage else visit.incident.decision
    await visit.write({"analyst": None, "analyst_why": why, "decision": decision}, evidence=_found(inquiry))
    return State(outcome=escalated(Reason.analysis_failed, why))


async def _brief(visit: Visit) -> Brief:
    pairs = await visit.pairs()
    alerts = tuple(event for event, _ in reversed(pairs))[:20]
    evidence = tuple(await visit.tools.store.evidence(visit.incident.id))
    return Brief(
        incident_id=visit.incident.id,
        alerts=alerts or (visit.event,),
        evidence=evidence,
        offered=offered(visit.tools.runbooks, alerts or (visit.event,)),
    )


def _found(inquiry: IncidentInquiry | None) -> Sequence[Evidence]:
    return tuple(inquiry.found) if inquiry else ()


async def _usage(visit: Visit, model: str | None) -> Mapping[str, Any] | None:
    """Return what the model has taken for this incident, over all its episodes; None where it was never asked."""
    used = await visit.tools.store.model_usage(incident_id=visit.incident.id)
    if not used.calls:
        return None
    return {
        "model": model or visit.tools.settings.llm.model,
        "calls": used.calls,
        "failed_calls": used.failed,
        "input_tokens": used.tokens.prompt,
        "output_tokens": used.tokens.output,
        "cache_read_tokens": used.tokens.cache_read,
        "cache_write_tokens": used.tokens.cache_write,
        "usd": round(used.micro_usd / MICRO_USD, 6),
        "seconds": round(used.seconds, 3),
    }


async def _second_opinion(visit: Visit, brief: Brief, answer: AnalystAnswer) -> Opinion:
    """Let the rules read the same evidence; where there are none, only the evidence that is cited is judged."""
    rules = next((analyst for analyst in visit.tools.analysts if analyst.name == RULES), None)
    alone = answer.analysis
    if rules is not None:
        alone = (await rules.analyze(brief, timeout_s=visit.tools.settings.llm.timeout_s)).analysis
    return second_opinion(answer.analysis, alone, brief.evidence)


async def _believe(
    visit: Visit,
    analyst: Analyst,
    brief: Brief,
    answer: AnalystAnswer,
    failures: Sequence[str],
    inquiry: IncidentInquiry | None,
) -> State:
    name, found = analyst.name, _found(inquiry)
    opinion = Opinion(analysis=answer.analysis, claimed=answer.analysis.confidence)
    if name != RULES:
        whole = brief.model_copy(update={"evidence": (*brief.evidence, *found)})
        opinion = await _second_opinion(visit, whole, answer)
    analysis = opinion.analysis
    if name == RULES:
        analysis = advised(visit.tools.runbooks, (await visit.alerts()).standing, analysis, brief.evidence)
    if failures:
        why = f"{name} answered because " + "; ".join(failures)
    elif name == RULES:
        why = "no model is configured" if visit.incident.storm_id is None else "it is one of a storm: no model is asked"
    else:
        why = "; ".join([f"the model {answer.model} answered", *answer.notes])
    visit.think(
        f"Cause: {analysis.root_cause} (confidence {analysis.confidence:.2f}, {analysis.category.value}; "
        f"recommends {analysis.recommended_action.value})",
        evidence=list(analysis.evidence),
        reasoning=analysis.reasoning,
    )
    if opinion.why:
        visit.think(f"The model claimed a confidence of {opinion.claimed:.2f}; taken down: {'; '.join(opinion.why)}")
    decision: dict[str, Any] = {"analysis": analysis.model_dump(mode="json"), "model": answer.model}
    if name != RULES:
        decision["confidence"] = {"claimed": opinion.claimed, "taken_down": list(opinion.why)}
    before = visit.incident.decision or {}
    decision |= {name: before[name] for name in ("standing", "warnings") if before.get(name)}
    usage = await _usage(visit, answer.model)
    if usage:
        decision["model_usage"] = usage
    await visit.write(
        {
            "analyst": name,
            "analyst_why": why[:2000],
            "root_cause": analysis.root_cause,
            "category": analysis.category.value,
            "confidence": analysis.confidence,
            "decision": decision,
        },
        evidence=found,
    )
    return State(analysis=analysis.model_dump(mode="json"), analyst=name, outcome=await ended_meanwhile(visit))
