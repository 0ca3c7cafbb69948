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
    ("seen", "after_s", "outcome", "why"),
    [
        (CommandState(running=False, exit_code=0, pid=7), 1, EffectOutcome.succeeded, "ended with exit code 0"),
        (CommandState(running=False, exit_code=3, pid=7), 1, EffectOutcome.failed, "ended with exit code 3"),
        (CommandState(running=False, exit_code=0, pid=7), 9999, EffectOutcome.succeeded, "ended with exit code 0"),
        (None, 1, EffectOutcome.unknown, "has no record of the command"),
        (RUNS, 60, EffectOutcome.unknown, "still runs after 60 s"),
        (NEVER, 15, EffectOutcome.unknown, "was not started within 15 s"),
    ],
)
def test_the_record_alone_tells_what_became_of_it(
    seen: CommandState | None, after_s: float, outcome: EffectOutcome, why: str
) -> None:
    answer = settled(seen, after_s)
    assert answer.outcome is outcome
    assert why in answer.why
    assert seen is None or seen.exit_code is None or answer.why == f"the command {why}", "it wrote no lines"


@pytest.mark.parametrize(
    ("seen", "after_s", "again_s", "why"),
    [
        (RUNS, 1, 3, "the command runs"),
        (RUNS, 59, 60, "the command runs"),
        (RUNS.model_copy(update={"pid": 0}), 20, 22, "the command runs"),
        (RUNS.model_copy(update={"running": False}), 20, 22, "the command runs"),  # its end is not written yet
        (NEVER, 1, 3, "nothing shows yet that the command was started"),
        (NEVER, 14, 15, "nothing shows yet that the command was started"),
    ],
)
def test_what_is_open_is_looked_at_again_soon_and_not_after_its_time(
    seen: CommandState, after_s: float, again_s: float, why: str
) -> None:
    expected = Settled(outcome=None, why=why, look_again_at=T0 + timedelta(seconds=again_s))
    assert settled(seen, after_s) == expected


def test_its_last_lines_are_told_on_one_bounded_line() -> None:
    ended = CommandState(running=False, exit_code=1)
    assert settled(ended, 1, ("a", " ", "b")).why == "the command ended with exit code 1; its last lines: a | b"
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
