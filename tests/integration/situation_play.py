"""Playing a situation: its runbooks, what happens, and what must have come of it."""

from __future__ import annotations

from pathlib import Path

from integration.loop_scene import RUNBOOKS
from integration.situation_stage import Stage, told_end
from integration.situations import Situation
from servers.waiting import eventually
from sreops.domain.incidents.incident import EffectOutcome, Incident

_RESTART = """
  - id: {id}
    when: {{}}
    {more}
    cooldown_s: 0
    steps: [{{action: restart_container, timeout_s: 20{step}}}]
    verify:
      - promql: >-
          container_memory_working_set_bytes{{name="{{{{ service }}}}"}}
          / container_spec_memory_limit_bytes{{name="{{{{ service }}}}"}}
        condition: "< 0.8"
"""
OWN = {
    "supervised-restart": "autonomy: supervised",
    "never-restart": "autonomy: never",
    "earned-restart": "autonomy: earned",
    "shadow-restart": "autonomy: autonomous\n    shadow: true",
    "careful-restart": "autonomy: autonomous\n    not_when: {logs: ['migration \\w+ (has )?started']}",
    "restart-all": "autonomy: supervised",
}


def situation_runbooks(folder: Path) -> str:
    """Write the runbooks that the situations name."""
    path = folder / "situations.yaml"
    own = [
        _RESTART.format(id=name, more=more, step=", all: true" if name == "restart-all" else "")
        for name, more in OWN.items()
    ]
    path.write_text(RUNBOOKS + "".join(own))
    return str(path)


async def play(on: Stage, row: Situation) -> None:
    """Let it happen, wait for its end, and hold what was done against the row."""
    for deed in row.happens:
        await deed(on)
    if row.ends != "none":
        incident = await stands(on, row)
        assert row.why.replace("{patient}", on.patient) in str(incident.decision), incident.decision
    found, _ = await on.it.store.incidents(limit=50)
    assert len(found) == row.incidents, [(one.service, one.status) for one in found]
    assert row.ends != "none" or not [one for one in found if one.service == on.patient]
    done = [effect for one in found for effect in one.effects if effect.outcome is EffectOutcome.succeeded]
    wanted = len(row.events) if row.ours is None else row.ours
    assert len(done) == wanted, [(effect.action, effect.target) for effect in done]
    assert all(effect.outcome is not None for one in found for effect in one.effects)


async def stands(on: Stage, row: Situation) -> Incident:
    """Wait until the incident has ended, or stands where the row says; return it."""

    async def look() -> Incident | None:
        found, _ = await on.it.store.incidents(limit=50)
        incident = await on.it.incident(row.of or on.patient)
        if len(found) < row.incidents or incident is None or incident.episode < row.episode:
            return None
        return incident if told_end(incident) == row.ends or incident.status.ended else None

    incident = await eventually(look, 75, every_s=0.1, what=f"{row.name} to be {row.ends}")
    assert incident is not None
    assert (told_end(incident), incident.episode) == (row.ends, row.episode), incident.decision
    return incident
