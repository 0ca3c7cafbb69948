"""Whatever a dependency answers: little memory, a loop that goes on, and an end, whichever HTTP stack reads it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_client import ADAPTERS, TIMEOUT_S
from hostile_server import BEHAVIOURS, ill_willed

CLIENT = Path(__file__).with_name("hostile_client.py")
ROOM_MIB = 256
MAY_BE_STILL_S = 0.25
QUESTIONS = 3  # that a client puts at most
SLACK_S = 10.0  # of a machine that does other things as well

HEADS_OF_ONE_READ_S = 0.5
"""The libraries take all the heads that one read brought in one go, some 64 KiB: 0.08 to 0.2 s, on a slow machine twice
as long."""

_seen: dict[str, dict[str, dict[str, Any]]] = {}


async def seen_by(adapter: str) -> dict[str, dict[str, Any]]:
    """Run the client once, against all."""
    if adapter not in _seen:
        async with ill_willed(list(BEHAVIOURS)) as ports:
            paths = os.pathsep.join(path for path in sys.path if path)
            client = await asyncio.create_subprocess_exec(
                sys.executable, str(CLIENT), adapter,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": paths},
            )  # fmt: skip
            try:
                told, _ = await client.communicate(json.dumps(ports).encode())
            finally:
                if client.returncode is None:
                    client.kill()
        lines = [json.loads(line) for line in told.splitlines() if line.startswith(b'{"behaviour"')]
        assert client.returncode == 0, told.decode()[-3000:]
        _seen[adapter] = {line["behaviour"]: line for line in lines}
    return _seen[adapter]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.timeout(600)
async def test_an_ill_willed_answer_costs_little_and_ends(adapter, behaviour):
    seen = (await seen_by(adapter))[behaviour]
    assert not seen["told"].startswith("ESCAPED"), seen
    assert seen["peak_mib"] - seen["idle_mib"] <= ROOM_MIB, seen
    heads = behaviour == "flood_of_early_hints"
    assert seen["still_s"] <= (HEADS_OF_ONE_READ_S if heads else MAY_BE_STILL_S), seen
    assert seen["seconds"] <= QUESTIONS * TIMEOUT_S + SLACK_S, seen
