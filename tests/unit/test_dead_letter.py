"""Dead letters as they stand on their topic: what they say, how they fold into a list, how they go back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sreops.domain.alerts.routing import DEAD_LETTER
from sreops.errors import PayloadRejected
from sreops.ports import LogRecord, StoredRecord
from sreops.worker.dead_letter import cut, last_frame, letters, mark_put_back, of_event, put_back, unreadable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BROKEN = StoredRecord("sre-critical", "checkout", b"\xff{", (("traceparent", b"00-ab"),), partition=2, offset=17)
EVENT = LogRecord("sre-warning", "search", b'{"event_id": "e-1"}', (("schema", b"1"),))


def stored(record, offset=0):
    return StoredRecord(record.topic, record.key, record.value, record.headers, partition=0, offset=offset, at=NOW)


def topic(*records):
    return [stored(record, number) for number, record in enumerate(records)]


def test_a_letter_keeps_the_bytes_and_tells_error_frame_and_origin():
    record = unreadable(BROKEN, "not JSON", "read (webhook.py:7)")
    assert (record.topic, record.key, record.value) == (DEAD_LETTER, "checkout", b"\xff{")
    [letter] = letters(topic(record))
    assert (letter.id, letter.error, letter.frame, letter.origin) == (
        "sre-critical:2:17", "not JSON", "read (webhook.py:7)", "sre-critical",
    )  # fmt: skip


def test_a_letter_that_was_written_twice_is_one():
    one = of_event(EVENT, "e-1", error="x", frame="f")
    assert [letter.id for letter in letters(topic(one, one))] == ["e-1"]


def test_what_was_put_back_is_shown_so_and_one_that_died_again_is_dead():
    one = of_event(EVENT, "e-1", error="first", frame="f")
    records = topic(one)
    records += topic(*mark_put_back(letters(records), NOW))
    assert letters(records)[0].requeued_at == NOW.isoformat(timespec="seconds")
    again = topic(*records, of_event(EVENT, "e-1", error="second", frame="f"))
    assert [(letter.error, letter.requeued_at) for letter in letters(again)] == [("second", None)]


def test_one_that_died_again_before_its_going_back_was_noted_is_dead():
    """A worker may be faster than the command that puts back: what it buried must not pass for being worked on."""
    one = topic(of_event(EVENT, "e-1", error="first", frame="f"))
    note = mark_put_back(letters(one), NOW)
    again = topic(*one, of_event(EVENT, "e-1", error="second", frame="f"), *note)
    assert [(letter.error, letter.requeued_at) for letter in letters(again)] == [("second", None)]


def test_it_goes_back_as_it_came_with_a_header_that_says_so():
    [letter] = letters(topic(of_event(EVENT, "e-1", error="x", frame="f")))
    assert put_back(letter) == replace(EVENT, headers=(*EVENT.headers, ("requeued", b"e-1")))


def test_an_unreadable_record_that_dies_again_keeps_its_id():
    [letter] = letters(topic(unreadable(BROKEN, "x")))
    back = put_back(letter)
    assert back.value == BROKEN.value
    [again] = letters(topic(unreadable(replace(stored(back, 99)), "y")))
    assert again.id == "sre-critical:2:17"
    assert [name for name, _ in put_back(again).headers] == ["traceparent", "requeued"]


def test_one_that_was_cut_says_so_and_can_not_go_back():
    large = replace(EVENT, value=b"x" * 500_000, headers=(("x", b"y" * 500),))
    record = cut(of_event(large, "e-1", error="x", frame="f"))
    assert record.size_bytes < 150_000
    [letter] = letters(topic(record))
    assert letter.cut
    with pytest.raises(PayloadRejected, match="500000 bytes"):
        put_back(letter)


def test_records_of_others_on_the_topic_are_listed_and_not_put_back_blindly():
    [letter] = letters([StoredRecord(DEAD_LETTER, "k", b"?", partition=1, offset=3)])
    assert letter.id == "sre-dead-letter:1:3"
    with pytest.raises(PayloadRejected, match="which topic"):
        put_back(letter)


def test_the_last_frame_is_where_it_was_raised():
    def inner():
        raise KeyError("x")

    with pytest.raises(KeyError) as raised:
        inner()
    assert last_frame(raised.value).startswith(
        "test_the_last_frame_is_where_it_was_raised.<locals>.inner (test_dead_letter.py:"
    )
    assert last_frame(KeyError("never raised")) == ""
