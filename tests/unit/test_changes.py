"""What changed lately, as it is told."""

from datetime import UTC, datetime, timedelta

from sreops.domain.evidence.changes import NotedChange, container_changes, is_of_change, lately, noted_changes
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.text.redaction import Redactor

ALERT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def note(minutes: float, text: str, *tags: str) -> NotedChange:
    return NotedChange(at=ALERT - timedelta(minutes=minutes), text=text, tags=tags)


def container(created_min: float, started_min: float) -> ContainerState:
    return ContainerState(
        id="0" * 64, name="x", image="shop/payments:1.5.0", status="running", running=True,
        created_at=ALERT - timedelta(minutes=created_min), started_at=ALERT - timedelta(minutes=started_min),
    )  # fmt: skip


def test_a_deployment_of_the_service_comes_before_a_closer_one_of_another() -> None:
    notes = [note(2, "checkout 2.0", "deploy"), note(30, "payments 1.5.0", "deploy"), note(1, "lunch", "team")]
    item = noted_changes(notes, ("payments",), ALERT, "q", Redactor())
    assert item.finding == (
        "2 noted changes, 1 of them of this service or its neighbours; "
        "30 min before the alert (at 03:30:00 UTC): payments 1.5.0 [deploy]"
    )
    assert "lunch" not in item.text
    assert item.data == {"noted": 2, "own": ["30 min before the alert (at 03:30:00 UTC): payments 1.5.0"]}


def test_part_of_a_name_is_another_name() -> None:
    item = noted_changes([note(5, "payments-v2 rolled out", "deploy")], ("payments",), ALERT, "q", Redactor())
    assert "of this service" not in item.finding


def test_a_note_is_of_a_change_by_its_tags_else_by_its_text() -> None:
    assert is_of_change(note(1, "x", "Deployment:web"))
    assert is_of_change(note(1, "rolled back web"))
    assert not is_of_change(note(1, "rolled back web", "party"))


def test_no_change_is_an_answer_too() -> None:
    assert "no deployment or other change" in noted_changes([], (), ALERT, "q", Redactor()).finding
    assert "no container of a was" in container_changes([("a", container(600, 500))], ALERT, Redactor()).finding


def test_containers_made_or_started_lately_are_told_the_closest_first() -> None:
    item = container_changes([("payments", container(20, 1.5)), ("db", container(900, 50))], ALERT, Redactor())
    assert item.text.splitlines() == [
        "payments was started 90 s before the alert (at 03:58:30 UTC)",
        "payments was created from image shop/payments:1.5.0 20 min before the alert (at 03:40:00 UTC)",
        "db was started 50 min before the alert (at 03:10:00 UTC)",
    ]
    assert item.data["own"] == ["20 min before the alert (at 03:40:00 UTC): was created from image shop/payments:1.5.0"]
    after = container_changes([("payments", container(900, -1))], ALERT, Redactor())
    assert after.finding == "payments was started 60 s after the alert (at 04:01:00 UTC)"


def test_lately_reaches_from_an_hour_before_the_alert_to_now() -> None:
    window = lately(ALERT, ALERT + timedelta(seconds=90))
    assert window.span_s() == 3690
    assert lately(ALERT, ALERT - timedelta(hours=3)).end == ALERT


def test_hostile_notes_do_no_harm() -> None:
    item = noted_changes([note(1, "deploy\u202e\x00\n" + "x" * 5000, "a" * 300)], ("p",), ALERT, "q", Redactor())
    assert len(item.finding) <= 400
    assert "\n" not in item.finding
    assert "\u202e" not in item.text
