"""Everything that sreops asks means ill, or hangs: an incident ends all the same, in a person's hands."""

import asyncio
from pathlib import Path

import pytest

from contract.hostile_server import ill_willed
from crash.world import payload
from servers.sreops import Sreops
from servers.waiting import eventually

pytestmark = pytest.mark.timeout(240)
ROOM_MIB = 256
WORLDS = {
    "bombs": {
        "LOKI": "gzip_of_gzip", "PROMETHEUS": "many_small_values", "GITLAB": "endless_refusal",
        "DOCKER": "endless_body", "LLM": "endless_answer_in_events",
    },
    "trickles": {
        "LOKI": "a_byte_now_and_then", "PROMETHEUS": "a_byte_of_the_head_now_and_then", "GITLAB": "a_byte_now_and_then",
        "DOCKER": "a_byte_now_and_then", "LLM": "endless_events",
    },
    "what is no HTTP": {
        "LOKI": "endless_headers", "PROMETHEUS": "broken_chunks", "GITLAB": "no_http",
        "DOCKER": "endless_error", "LLM": "an_event_without_end",
    },
}  # fmt: skip


def memory_mib(pid: int, name: str) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("world", WORLDS)
async def test_the_incident_ends_with_a_person_and_the_memory_stays(world: str) -> None:
    chosen = WORLDS[world]
    async with ill_willed(sorted(set(chosen.values()))) as ports:
        at = {part: f"127.0.0.1:{ports[behaviour]}" for part, behaviour in chosen.items()}
        settings = {
            "SREOPS_LOKI__URL": f"http://{at['LOKI']}",
            "SREOPS_LOKI__TIMEOUT_S": "2",
            "SREOPS_PROMETHEUS__URL": f"http://{at['PROMETHEUS']}",
            "SREOPS_PROMETHEUS__TIMEOUT_S": "2",
            "SREOPS_GITLAB__URL": f"http://{at['GITLAB']}",
            "SREOPS_GITLAB__TOKEN": "glpat-hostile-world",
            "SREOPS_GITLAB__PROJECT": "sre/incidents",
            "SREOPS_GITLAB__TIMEOUT_S": "2",
            "SREOPS_DOCKER__HOST": f"tcp://{at['DOCKER']}",
            "SREOPS_DOCKER__TIMEOUT_S": "2",
            "SREOPS_LLM__BASE_URL": f"http://{at['LLM']}",
            "SREOPS_LLM__API_KEY": "sk-ant-hostile-world",
            "SREOPS_LLM__DEADLINE_S": "6",
            "SREOPS_LLM__TIMEOUT_S": "3",
        }
        with Sreops(settings) as sreops:
            idle_mib = memory_mib(sreops.pid, "VmRSS")
            answer = await asyncio.to_thread(sreops.post, "/alerts", payload("payments", 1))
            assert answer.status_code == 202
            ended = await eventually(
                lambda: asyncio.to_thread(sreops.ended_incident_of, "payments"), 150, what="the end"
            )
            assert ended is not None
            assert ended["status"] == "escalated"
            assert ended["reason"] != "internal_error"
            assert ended["needs"] == "attention"
            assert not ended["effects"]
            assert sreops.running
            assert memory_mib(sreops.pid, "VmHWM") - idle_mib <= ROOM_MIB
