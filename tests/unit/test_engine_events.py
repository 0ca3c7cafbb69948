"""The engine's events and images as they are told, and what the rules make of them."""

from datetime import UTC, datetime, timedelta

from sreops.adapters.docker.events import read_events
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.causes.analysis import Brief, Category, RecommendedAction
from sreops.domain.causes.conclude import conclude
from sreops.domain.causes.event_signs import event_signs
from sreops.domain.causes.neighbour_signs import neighbour_signs
from sreops.domain.evidence.engine_events import Earlier, earlier_of, engine_events, image_changes, is_telling
from sreops.domain.evidence.evidence import (
    ContainerEvent,
    ContainerEvents,
    ContainerState,
    Evidence,
    EvidenceKind,
    ImageState,
)
from sreops.domain.evidence.findings import container
from sreops.domain.incidents.incident import Effect, Incident
from sreops.domain.text.redaction import Redactor

ALERT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def event(minutes: float, action: str, *, code: int | None = None, signal: int | None = None, of: str = "c1"):
    return ContainerEvent(
        at=ALERT - timedelta(minutes=minutes), action=action, name="web", container_id=of, exit_code=code,
        signal=signal, image="shop/web:1",
    )  # fmt: skip


def told(*events: ContainerEvent, role: str = "", service: str = "web") -> Evidence:
    found = ContainerEvents(query="docker events", events=events)
    item = engine_events(service, found, ALERT, Redactor(), role=role)
    return item.model_copy(update={"id": "E7"})


CRASH = [one for n in (30, 20, 10) for one in (event(n, "die", code=1), event(n - 0.1, "start"))]


def state(**fields) -> ContainerState:
    known = {
        "id": "c" * 64, "name": "web", "image": "shop/web:1", "status": "running", "running": True, "image_id": OLD,
        "config": "k1", "created_at": ALERT - timedelta(days=3),
    }  # fmt: skip
    return ContainerState(**{**known, **fields})


def brief(*items: Evidence) -> Brief:
    alert = AlertEvent.model_validate(
        {
            "event_id": "e", "source": "grafana", "fingerprint": "f", "status": "firing", "labels": {},
            "annotations": {}, "startsAt": ALERT, "received_at": ALERT, "tier": "autonomous", "severity": "critical",
            "service": "web",
        }
    )  # fmt: skip
    return Brief(incident_id="i", alerts=(alert,), evidence=items)


def test_deaths_by_itself_are_told_apart_from_stops_that_were_asked_for() -> None:
    item = told(
        *CRASH, event(5, "kill", signal=15), event(4.9, "die", code=143), event(4.8, "stop"), event(4.7, "start")
    )
    assert item.kind is EvidenceKind.events
    assert item.finding == (
        "web, by the engine's events: died by itself 3 times (with exit code 1), was stopped by request once, "
        "was started 4 times; "
        "last: start 5 min before the alert (at 03:55:18 UTC)"
    )
    mixed = told(event(9, "die", code=1), event(8, "start"), event(7, "die", code=1), event(6, "die", code=139))
    assert "died by itself 3 times (2 with exit code 1, 1 with exit code 139)" in mixed.finding
    assert item.data["crashes"] == 3
    assert not item.data["down_by_request"]
    assert item.text.splitlines()[-4].startswith("kill (signal 15) 5 min before the alert")


def test_a_kill_of_one_container_excuses_no_other() -> None:
    item = told(event(9, "kill", signal=9, of="c1"), event(8, "die", code=137, of="c2"))
    assert (item.data["crashes"], item.data["stopped"]) == (1, 0)


def test_what_is_no_trouble_is_told_by_its_last_event() -> None:
    item = told(event(9, "rename"), event(8, "health_status: healthy"))
    assert item.finding.startswith("web: the engine tells of nothing bad; last: health_status: healthy 8 min before")
    assert "create (from image shop/web:1)" in told(event(9, "create")).text


def test_no_event_is_an_answer_that_says_how_little_the_engine_remembers() -> None:
    item = told()
    assert "tells of no event lately" in item.finding
    assert not is_telling(item)
    assert not event_signs([item])


def test_an_oom_kill_that_a_restart_has_wiped_from_the_state_is_still_the_cause() -> None:
    running = container(state(), ALERT, Redactor()).model_copy(update={"id": "E2"})
    answer = conclude(brief(running, told(event(3, "oom"), event(3, "die", code=137), event(2.9, "start"))))
    assert answer.category is Category.out_of_memory
    assert answer.evidence == ("E7",)


def test_the_state_and_the_events_come_from_one_engine_and_don_t_prove_each_other() -> None:
    killed = container(state(running=False, status="exited", exit_code=137, oom_killed=True), ALERT, Redactor())
    alone = conclude(brief(killed.model_copy(update={"id": "E2"})))
    both = conclude(brief(killed.model_copy(update={"id": "E2"}), told(event(3, "oom"), event(3, "die", code=137))))
    assert both.confidence == alone.confidence


def test_what_somebody_stopped_is_not_started_again_with_confidence() -> None:
    stopped = container(state(running=False, status="exited", exit_code=1), ALERT, Redactor())
    stopped = stopped.model_copy(update={"id": "E2"})
    assert conclude(brief(stopped)).confidence >= 0.7
    answer = conclude(brief(stopped, told(event(3, "kill", signal=15), event(3, "die", code=1), event(3, "stop"))))
    assert answer.confidence < 0.6
    assert "stopped by request" in answer.root_cause


def test_three_deaths_within_the_hour_are_a_crash_loop_and_one_is_not() -> None:
    assert [sign.category for sign in event_signs([told(*CRASH)])] == [Category.crash_loop]
    assert [sign.category for sign in event_signs([told(*CRASH[:2])])] == [Category.process_exited]
    assert not event_signs([told(event(9, "start"))])


def test_a_called_neighbour_that_died_is_a_sign_and_a_caller_that_died_is_none() -> None:
    [sign] = neighbour_signs([told(*CRASH, role="called", service="db")])
    assert (sign.category, sign.evidence_id) == (Category.dependency_down, "E7")
    assert "db, which it calls, died by itself 3 times" in sign.name
    assert not neighbour_signs([told(*CRASH, role="caller", service="shop")])
    assert not event_signs([told(*CRASH, role="called", service="db")])


def test_hostile_names_and_actions_stay_on_one_line_without_hidden_characters() -> None:
    item = told(event(1, "health_status: \u202eunhealthy\nIgnore"), service="a\nb\u202e")
    assert "\n" not in item.finding
    assert "\u202e" not in item.finding + item.text


def test_a_tag_that_means_another_image_now_is_told() -> None:
    tagged = ImageState(id=NEW, created_at=ALERT - timedelta(minutes=12))
    item = image_changes("web", state(), tagged, None, ALERT, Redactor())
    assert item.finding == (
        "web runs shop/web:1 (aaaaaaaaaaaa), but the tag now means another image (bbbbbbbbbbbb, built 12 min before "
        "the alert (at 03:48:00 UTC)): a restart keeps the old one"
    )
    assert item.query == "docker image inspect shop/web:1"
    assert item.data["tag_moved"]
    same = image_changes("web", state(), ImageState(id=OLD), None, ALERT, Redactor())
    assert same.finding.endswith("which is what the tag means now")
    assert "no image under that tag" in image_changes("web", state(), None, None, ALERT, Redactor()).finding
    refused = image_changes("web", state(), None, None, ALERT, Redactor(), why_unseen="403 by the proxy")
    assert refused.partial
    assert "not known: 403 by the proxy" in refused.finding


def test_image_and_configuration_are_compared_with_those_of_the_last_effect() -> None:
    earlier = Earlier(ALERT - timedelta(days=9), "shop/web:0", NEW, "k0")
    item = image_changes("web", state(), ImageState(id=OLD), earlier, ALERT, Redactor())
    assert "another image and configuration than at 2026-11-14 04:00 UTC" in item.finding
    assert "then shop/web:0, bbbbbbbbbbbb" in item.finding
    same = Earlier(ALERT, "shop/web:1", OLD, "k1")
    assert "are those of" in image_changes("web", state(), ImageState(id=OLD), same, ALERT, Redactor()).finding


def test_the_last_effect_on_that_container_is_what_is_compared_with() -> None:
    def effect(days: int, name: str, image_id: str | None) -> Effect:
        snapshot = {"id": "1", "name": name, "image": "x", "config": "k"} | ({"image_id": image_id} if image_id else {})
        return Effect(
            effect_id=f"{days}{name}", incident_id="i", episode=1, step=0, action="restart_container", target=name,
            service="web", runbook_id="r", snapshot=snapshot, intent_at=ALERT - timedelta(days=days),
        )  # fmt: skip

    incident = Incident.model_construct(
        service="web",
        effects=(effect(9, "web", OLD), effect(3, "web", NEW), effect(2, "web", None), effect(1, "db", OLD)),
    )
    found = earlier_of([incident], "web")
    assert found is not None
    assert (found.image_id, found.at) == (NEW, ALERT - timedelta(days=3))
    assert earlier_of([incident], "mail") is None
    assert earlier_of([], "web") is None


def test_a_new_image_whose_container_dies_speaks_for_a_bad_deploy() -> None:
    earlier = Earlier(ALERT - timedelta(days=9), "shop/web:0", NEW, "k1")
    made = state(created_at=ALERT - timedelta(minutes=31))
    item = image_changes("web", made, ImageState(id=OLD), earlier, ALERT, Redactor()).model_copy(update={"id": "E9"})
    answer = conclude(brief(told(*CRASH), item))
    assert answer.category is Category.bad_deploy
    assert answer.recommended_action is RecommendedAction.escalate
    assert [sign.category for sign in event_signs([item])] == []  # nothing died: a new image alone is no fault
    old = image_changes("web", state(), ImageState(id=OLD), earlier, ALERT, Redactor())
    remade = Earlier(ALERT - timedelta(days=9), "shop/web:1", OLD, "k0")
    item = image_changes("web", made, ImageState(id=OLD), remade, ALERT, Redactor())
    told_of = [sign for sign in event_signs([told(*CRASH), item]) if sign.category is Category.bad_deploy]
    assert "another configuration" in told_of[0].name
    assert Category.bad_deploy not in {sign.category for sign in event_signs([told(*CRASH), old])}


def test_events_are_read_as_the_engine_writes_them_and_others_are_left_out() -> None:
    body = (
        b'{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"web","exitCode":"137",'
        b'"image":"shop/web:1"}},"time":1790000000,"timeNano":1790000000123456789}\n'
        b'{"Type":"container","Action":"exec_die","Actor":{"ID":"c1","Attributes":{"name":"web"}},"timeNano":1}\n'
        b'{"Type":"container","Action":"die","Actor":{"ID":"c2","Attributes":{"name":"web-2"}},"timeNano":1}\n'
        b'{"Type":"network","Action":"connect","Actor":{"ID":"n"},"timeNano":1}\n'
        b'{"Type":"container","Action":"di'
    )
    [one] = read_events(body, {"web"}, cut=True)
    assert (one.action, one.exit_code, one.image) == ("die", 137, "shop/web:1")
    assert one.at == datetime(2026, 9, 21, 14, 13, 20, 123456, tzinfo=UTC)
