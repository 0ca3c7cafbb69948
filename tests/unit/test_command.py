"""A command in a container: what follows from its record, and the end of what it said."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.adapters.docker.frame_tail import KEPT_BYTES, FrameTail
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.command import CommandState, settle_command
from sreops.domain.remediation.effects import Settled

T0 = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
RUNS = CommandState(running=True, exit_code=None, pid=7)
NEVER = CommandState(running=False, exit_code=None, pid=0)


def settled(seen: CommandState | None, after_s: float, said: tuple[str, ...] = ()) -> Settled:
    effect = Effect(
        effect_id="i:1:0", incident_id="i", episode=1, step=0, action="exec_in_container", target="web",
        service="web", snapshot={}, intent_at=T0,
    )  # fmt: skip
    now = T0 + timedelta(seconds=after_s)
    return settle_command(effect, seen, now=now, timeout_s=60, margin_s=15, said=said)


@pytest.mark.parametrize(
    ("seen", "after_s", "outcome"),
    [
        (CommandState(running=False, exit_code=0, pid=7), 1, EffectOutcome.succeeded),
        (CommandState(running=False, exit_code=3, pid=7), 1, EffectOutcome.failed),
        (CommandState(running=False, exit_code=0, pid=7), 9999, EffectOutcome.succeeded),
        (None, 1, EffectOutcome.unknown),
        (RUNS, 59, None),
        (RUNS, 60, EffectOutcome.unknown),
        (NEVER, 14, None),
        (NEVER, 15, EffectOutcome.unknown),
    ],
)
def test_the_record_alone_tells_what_became_of_it(
    seen: CommandState | None, after_s: float, outcome: EffectOutcome | None
) -> None:
    assert settled(seen, after_s).outcome is outcome


def test_its_last_lines_are_told_on_one_bounded_line() -> None:
    said = tuple(f"line {number} {chr(10)}{'x' * 5000}" for number in range(100))
    why = settled(CommandState(running=False, exit_code=1), 1, said).why
    assert "exit code 1" in why
    assert "line 99" in why
    assert "line 0 " not in why
    assert len(why) < 2000
    assert "\n" not in why


def frame(text: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(1, 40))
def test_a_stream_is_taken_apart_wherever_its_pieces_begin(payloads: list[bytes], size: int) -> None:
    raw = b"".join(frame(one, 1 + number % 2) for number, one in enumerate(payloads))
    tail, whole = FrameTail(), FrameTail()
    whole.take(raw)
    for at in range(0, len(raw), size):
        tail.take(raw[at : at + size])
    assert tail.lines() == whole.lines()


def test_of_a_long_stream_the_end_is_kept_and_no_more() -> None:
    tail = FrameTail()
    for number in range(5000):
        tail.take(frame(b"line %d\n" % number))
    lines = tail.lines()
    assert lines[-1] == "line 4999"
    assert sum(len(line) for line in lines) <= KEPT_BYTES
    assert len(lines) <= 20
