"""The audit chain finds what was altered, lost or moved."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.records.audit import Fault, canonical, chain_hash, verify_chain
from sreops.domain.records.record import Action, Record, RecordKind

T0 = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


def chain(length: int, *, incident_id: str = "I1", key: bytes | None = None, first_seq: int = 1) -> list[Record]:
    records: list[Record] = []
    for number in range(length):
        body = Action(action="restart_container", phase="intent", target=f"c{number}", data={"n": number}).model_dump()
        prev, at = (records[-1].hash if records else None), T0 + timedelta(seconds=number)
        records.append(
            Record(
                seq=first_seq + 2 * number,
                incident_id=incident_id,
                kind=RecordKind.action,
                at=at,
                body=body,
                prev_hash=prev,
                hash=chain_hash(prev, incident_id=incident_id, at=at, body=body, key=key),
            )
        )
    return records


def faults(records: list[Record], key: bytes | None = None, **options: Any) -> list[tuple[int, Fault]]:
    return [(problem.seq, problem.fault) for problem in verify_chain(records, key, **options)]


@pytest.mark.parametrize("key", [None, b"key"])
def test_a_whole_chain_has_no_fault_with_other_incidents_and_thoughts_between(key):
    thought = Record(seq=99, incident_id="I1", kind=RecordKind.thought, at=T0, body={"node": "n", "text": "t"})
    mixed = sorted(
        [*chain(5, key=key), *chain(4, incident_id="I2", key=key, first_seq=2), thought], key=lambda r: r.seq
    )
    assert verify_chain(mixed, key) == []
    assert verify_chain([], key) == []


@pytest.mark.parametrize(
    "change",
    [
        {"body": {"action": "nothing"}},
        {"at": T0 - timedelta(microseconds=1)},
        {"hash": "0" * 64},
        {"hash": None},
    ],
)
def test_an_altered_record_is_found_where_it_is(change):
    records = chain(4)
    records[1] = records[1].model_copy(update=change)
    assert (records[1].seq, Fault.altered) in faults(records)


def test_a_record_moved_to_another_incident_is_found():
    records = [record.model_copy(update={"incident_id": "I2"}) for record in chain(1)]
    assert faults(records) == [(1, Fault.altered)]
    assert str(verify_chain(records, None)[0]).startswith("record 1 altered: ")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_missing_record_is_found_at_the_one_after_it(lost):
    records = chain(4)
    gone = records.pop(lost)
    assert faults(records) == [(gone.seq + 2, Fault.missing)]


def test_records_in_another_order_are_found():
    records = chain(4)
    records[1], records[2] = records[2], records[1]
    assert {fault for _, fault in faults(records)} == {Fault.reordered}


def test_records_that_changed_their_numbers_are_found():
    one, two, *rest = chain(4)
    swapped = [two.model_copy(update={"seq": one.seq}), one.model_copy(update={"seq": two.seq}), *rest]
    assert {fault for _, fault in faults(swapped)} == {Fault.reordered}


def test_a_second_beginning_is_found():
    records = [*chain(2), *chain(1, first_seq=50)]
    assert faults(records) == [(50, Fault.reordered)]


def test_what_is_cut_off_at_the_end_shows_against_a_known_head():
    records = chain(4)
    head = records[-1].hash or ""
    assert faults(records, heads={"I1": head}) == []
    assert faults(records[:2], heads={"I1": head}) == [(3, Fault.missing)]
    assert faults([], heads={"I1": head}) == [(0, Fault.missing)]
    assert faults(records[:2]) == []


def test_a_chain_rebuilt_without_the_key_is_found():
    forged = chain(3)
    assert len(faults(forged, b"key")) == 3
    assert chain(1, key=b"a")[0].hash != chain(1, key=b"b")[0].hash != chain(1)[0].hash


def test_the_hash_is_fixed_for_ever():
    assert (
        chain_hash(None, incident_id="I", at=T0, body={"b": 1.0, "a": "é"}, key=None)
        == chain_hash(
            None, incident_id="I", at=T0.astimezone(timezone(timedelta(hours=2))), body={"a": "é", "b": 1}, key=None
        )
        == "79994909ebebe2e8ce9a50deef9f9bf646debe14bb44985b4104576a32829b24"
    )
    assert (
        chain_hash("p", incident_id="I", at=T0, body={}, key=b"k")
        == "8d465b1f72efb16c44107f63aeb89b643b0671679d2590c968eee6ba19ef395d"
    )


def test_a_naive_time_is_a_bug():
    with pytest.raises(ValueError, match="naive"):
        chain_hash(None, incident_id="I", at=datetime(2026, 1, 1), body={}, key=None)  # noqa: DTZ001 - the point


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_refused(number):
    with pytest.raises(ValueError, match="JSON has no such number"):
        canonical({"n": [number]})


def test_the_canonical_form_is_sorted_and_has_no_spaces():
    assert canonical({"b": (1.0, 2.5, True, None), "a": {"é": "\ud800"}}) == (
        b'{"a":{"\\u00e9":"\\ud800"},"b":[1,2.5,true,null]}'
    )


BODIES = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
)


@given(BODIES)
def test_a_body_hashes_the_same_after_a_round_trip_through_json(body):
    assert canonical(json.loads(json.dumps(body))) == canonical(body)


@given(st.integers(2, 6), st.data())
def test_any_loss_or_swap_within_a_chain_is_found(length, data):
    records = chain(length)
    index = data.draw(st.integers(0, length - 2))
    if data.draw(st.booleans()):
        del records[index]
    else:
        other = data.draw(st.integers(index + 1, length - 1))
        records[index], records[other] = records[other], records[index]
    assert verify_chain(records, None)
