"""analyze_root_cause: the model where it answers, else the rules; who answered, and why, is recorded."""

from sreops.agent.state import State
from sreops.agent.visit import Visit, escalated
from sreops.domain.analysis import Brief
from sreops.domain.incident import Reason
from sreops.domain.matching import offered
from sreops.errors import SreopsError
from sreops.ports import AnalystAnswer
from sreops.telemetry import MODEL_CALLS, MODEL_TOKENS, log


async def analyze_root_cause(visit: Visit) -> State:
    """Ask the analysts in order; the first that answers is believed."""
    brief = await _brief(visit)
    failures: list[str] = []
    for analyst in visit.tools.analysts:
        try:
            answer = await analyst.analyze(brief, timeout_s=visit.tools.settings.llm.timeout_s)
        except SreopsError as exc:
            MODEL_CALLS.labels(analyst.name, type(exc).__name__).inc()
            log.warning("analyst.call_failed", analyst=analyst.name, error=str(exc))
            failures.append(f"{analyst.name}: {exc}")
            visit.think(f"The {analyst.name} analyst gave no answer: {exc}")
            continue
        MODEL_CALLS.labels(analyst.name, "answered").inc()
        MODEL_TOKENS.labels("input").inc(answer.input_tokens)
        MODEL_TOKENS.labels("output").inc(answer.output_tokens)
        return await _believe(visit, analyst.name, answer, failures)
    await visit.write({"analyst": None, "analyst_why": "; ".join(failures) or "no analyst is configured"})
    return State(outcome=escalated(Reason.analysis_failed, "; ".join(failures) or "no analyst is configured"))


async def _brief(visit: Visit) -> Brief:
    pairs = await visit.tools.store.events(visit.incident.id)
    alerts = tuple(event for event, _ in reversed(pairs))[:20]
    evidence = tuple(await visit.tools.store.evidence(visit.incident.id))
    return Brief(
        incident_id=visit.incident.id,
        alerts=alerts or (visit.event,),
        evidence=evidence,
        offered=offered(visit.tools.runbooks, alerts or (visit.event,)),
    )


async def _believe(visit: Visit, name: str, answer: AnalystAnswer, failures: list[str]) -> State:
    analysis = answer.analysis
    if failures:
        why = f"{name} answered because " + "; ".join(failures)
    elif name == "rules":
        why = "no model is configured"
    else:
        why = f"the model {answer.model} answered"
    visit.think(
        f"Cause: {analysis.root_cause} (confidence {analysis.confidence:.2f}, {analysis.category.value}; "
        f"recommends {analysis.recommended_action.value})",
        evidence=list(analysis.evidence),
        reasoning=analysis.reasoning,
    )
    await visit.write(
        {
            "analyst": name,
            "analyst_why": why[:2000],
            "root_cause": analysis.root_cause,
            "category": analysis.category.value,
            "confidence": analysis.confidence,
            "decision": {"analysis": analysis.model_dump(mode="json"), "model": answer.model},
        }
    )
    await visit.refresh()
    return State(analysis=analysis.model_dump(mode="json"), analyst=name, outcome=visit.ended_meanwhile())
