"""Where the graph goes next: pure functions of the state."""

from typing import Literal

from sreops.agent.state import State

CLOSE: Literal["close_or_escalate"] = "close_or_escalate"


def after_issue(state: State) -> Literal["enrich_context", "close_or_escalate"]:
    """Investigate, unless the incident's end is known already (refired, resolved meanwhile)."""
    return CLOSE if state.get("outcome") else "enrich_context"


def after_evidence(state: State) -> Literal["analyze_root_cause", "close_or_escalate"]:
    """Analyse, unless the incident ended meanwhile."""
    return CLOSE if state.get("outcome") else "analyze_root_cause"


def after_analysis(state: State) -> Literal["match_runbook", "close_or_escalate"]:
    """Look for a runbook, unless there is no analysis or the incident ended meanwhile."""
    return CLOSE if state.get("outcome") else "match_runbook"


def after_matching(state: State) -> Literal["await_approval", "execute_remediation", "close_or_escalate"]:
    """Act, ask, or hand over."""
    if state.get("outcome"):
        return CLOSE
    return "await_approval" if state.get("approval") == "needed" else "execute_remediation"


def after_approval(state: State) -> Literal["await_approval", "execute_remediation", "close_or_escalate"]:
    """Go on when a person approved; until then come back and wait."""
    return after_matching(state)


def after_step(
    state: State,
) -> Literal["execute_remediation", "await_approval", "verify_success", "close_or_escalate"]:
    """One step per visit: the next one, a person (the event grew too old), the proof, or the end."""
    if state.get("outcome"):
        return CLOSE
    if state.get("approval") == "needed":
        return "await_approval"
    return "execute_remediation" if state["step"] < len(state["plan"]["steps"]) else "verify_success"


def after_look(state: State) -> Literal["verify_success", "close_or_escalate"]:
    """One poll per visit until the verdict is final."""
    return CLOSE if state.get("outcome") else "verify_success"


def after_close(state: State) -> Literal["close_or_escalate", "enrich_context", "__end__"]:
    """End; come back while a recovered target has not lived for long enough; begin anew where an alert fires again."""
    if not state.get("outcome"):
        return "enrich_context"
    return CLOSE if state.get("wait_until") else "__end__"
