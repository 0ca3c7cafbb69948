"""Plans: templates are filled without changing the syntax that the author wrote, or the plan is refused."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.runbooks.plan import make_plan, needs_container
from sreops.domain.runbooks.runbook import Autonomy, Condition, Plan, Runbook, Step, StepAction, When
from sreops.domain.runbooks.template import ValueRefused, fill_promql, fill_url, promql_faults
from sreops.errors import PlanRefused
from sreops.sandbox.promql.parser import parse, parse_selector

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def event(service: str = "payments", **labels: str) -> AlertEvent:
    return AlertEvent.model_validate(
        {"event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing", "annotations": {},
         "labels": {"alertname": "HighMemory", **labels}, "startsAt": NOW, "received_at": NOW,
         "tier": "autonomous", "severity": "critical", "service": service}
    )  # fmt: skip


def plan_of(*steps: Step, verify: tuple[Condition, ...] = (), about: AlertEvent | None = None) -> Plan:
    runbook = Runbook(id="r", when=When(), autonomy=Autonomy.autonomous, steps=steps or (step(),), verify=verify)
    return make_plan(runbook, about or event())


def step(action: StepAction = StepAction.restart_container, **params: object) -> Step:
    return Step(action=action, params=params)


def test_the_target_is_the_alerts_service_unless_the_step_names_a_container() -> None:
    plan = plan_of(step(), step(container="{{ labels.sidecar }}-1"), about=event(sidecar="proxy"))
    assert [planned.target for planned in plan.steps] == ["payments", "proxy-1"]


def test_a_step_may_name_its_target_as_a_service_too() -> None:
    plan = plan_of(step(service="{{ labels.sidecar }}"), about=event(sidecar="proxy"))
    assert [planned.target for planned in plan.steps] == ["proxy"]


def test_the_targets_real_name_is_filled_in_escaped_where_it_is_known() -> None:
    steps = (
        step(),
        step(StepAction.notify, message="{{ container }} is ill"),
        step(StepAction.query_prometheus, promql='up{name="{{container}}"}'),
        step(StepAction.http_check, url="http://{{ container }}:80/{{ container }}"),
    )
    verify = (Condition(promql='up{name=~"{{ container }}"}', condition="== 1"),)
    runbook = Runbook(id="r", when=When(), autonomy=Autonomy.autonomous, steps=steps, verify=verify)
    assert needs_container(runbook)
    plan = make_plan(runbook, event(), container="shop-payments-1")
    assert [planned.params for planned in plan.steps[1:]] == [
        {"message": "shop-payments-1 is ill"},
        {"promql": 'up{name="shop-payments-1"}'},
        {"url": "http://shop-payments-1:80/shop-payments-1"},
    ]
    dotted = make_plan(runbook.model_copy(update={"steps": steps[:1]}), event(), container="shop.payments")
    assert dotted.verify[0].promql == 'up{name=~"shop\\\\.payments"}'
    with pytest.raises(PlanRefused, match="name in the engine is not known"):
        make_plan(runbook, event())


def test_what_is_filled_in_is_never_read_as_the_targets_name() -> None:
    hostile = event(note="{{ container }}")
    runbook = Runbook(id="r", when=When(), steps=(step(StepAction.notify, message="{{ labels.note }}"),))
    assert not needs_container(runbook)
    assert make_plan(runbook, hostile, container="x").steps[0].params == {"message": "{{ container }}"}


def test_numbers_pass_and_texts_are_filled_in() -> None:
    plan = plan_of(
        step(StepAction.scale_container, replicas=3), step(StepAction.notify, message="{{ alertname }} on {{service}}")
    )
    assert plan.steps[0].params == {"replicas": 3}
    assert plan.steps[1].params == {"message": "HighMemory on payments"}


def test_queries_and_addresses_in_params_are_escaped_as_such() -> None:
    plan = plan_of(
        step(StepAction.query_prometheus, promql='up{job="{{ labels.v }}"}', condition="== 1"),
        step(StepAction.http_check, url="http://{{ service }}:8080/{{ labels.v }}"),
        about=event(v='a"/b'),
    )
    assert plan.steps[0].params["promql"] == 'up{job="a\\"/b"}'
    assert plan.steps[1].params["url"] == "http://payments:8080/a%22%2Fb"


def test_a_value_beyond_reason_is_refused() -> None:
    with pytest.raises(PlanRefused, match="longer than 500"):
        plan_of(step(StepAction.notify, message="{{ labels.v }}"), about=event(v="x" * 501))


def test_filled_in_text_is_never_read_as_a_template_again() -> None:
    plan = plan_of(step(StepAction.notify, message="{{ labels.x }}"), about=event(x="{{ labels.secret }}", secret="s"))
    assert plan.steps[0].params["message"] == "{{ labels.secret }}"


def test_a_missing_label_is_named_with_its_step() -> None:
    with pytest.raises(PlanRefused) as caught:
        plan_of(step(container="{{ labels.pod }}"), step(StepAction.notify, message="{{ labels.team }}"))
    assert caught.value.problems == (
        "runbook 'r', step 1 (restart_container): label 'pod' is missing on the alert, and '{{ labels.pod }}' needs it",
        "runbook 'r', step 2 (notify): label 'team' is missing on the alert, and '{{ labels.team }}' needs it",
    )


def test_an_empty_label_is_missing_because_an_empty_matcher_selects_everything_without_the_label() -> None:
    with pytest.raises(PlanRefused, match="label 'pod' is missing"):
        plan_of(verify=(Condition(promql='up{pod="{{ labels.pod }}"}', condition="> 0"),), about=event(pod=""))


@pytest.mark.parametrize("name", ["", "x", "-rf", "a b", "a/b", "../a", "a\n", "a;b", "ä", "a" * 200])
def test_a_target_that_is_no_container_name_is_refused(name: str) -> None:
    with pytest.raises(PlanRefused, match=r"is not a container name|is missing"):
        plan_of(step(container="{{ labels.c }}"), about=event(c=name))


def test_a_service_that_is_no_container_name_is_refused_only_where_it_is_a_target() -> None:
    plan_of(step(StepAction.wait, seconds=1), about=event(service="High memory!"))
    with pytest.raises(PlanRefused, match="'High memory!' is not a container name"):
        plan_of(step(StepAction.check_health), about=event(service="High memory!"))


def test_the_plan_hash_names_exactly_this_plan() -> None:
    assert plan_of(step()).plan_hash == plan_of(step()).plan_hash
    assert plan_of(step()).plan_hash != plan_of(step(), about=event(service="orders")).plan_hash


def test_a_plan_keeps_its_not_when_through_the_checkpoint_and_has_the_hash_that_0_1_gives_it() -> None:
    plain, careful = plan_of(step()), plan_of(step()).model_copy(update={"not_when": When(logs=("migration",))})
    again = Plan.model_validate(careful.model_dump(mode="json"))
    assert again == careful
    assert Plan.model_validate(plain.model_dump(mode="json")).not_when == When()
    assert again.plan_hash == plain.plan_hash


@pytest.mark.parametrize(
    ("promql", "value", "expected"),
    [
        ('up{a="{{ labels.v }}"}', 'x"} or up{', 'up{a="x\\"} or up{"}'),
        ("up{a='{{ labels.v }}'}", 'it\'s "q"\\', "up{a='it\\'s \"q\"\\\\'}"),
        ("up{a=`{{ labels.v }}`}", 'a"b\\', 'up{a=`a"b\\`}'),
        ('up{a=~"{{ labels.v }}"}', "a.*|b", 'up{a=~"a\\\\.\\\\*\\\\|b"}'),
        ("up{a!~`x-{{ labels.v }}.+`}", "a.b", "up{a!~`x-a\\.b.+`}"),
        ('up{a =~ "[{{ labels.v }}]"}', "a-z", 'up{a =~ "[a\\\\-z]"}'),
        ('up{a="x\\"y", b="{{ labels.v }}"}', "z", 'up{a="x\\"y", b="z"}'),
        ('up{a="{{ labels.v }}"} # it\'s "fine', "z", 'up{a="z"} # it\'s "fine'),
    ],
)
def test_promql_values_are_escaped_for_the_quotes_and_the_matcher_that_the_author_wrote(
    promql: str, value: str, expected: str
) -> None:
    assert fill_promql(promql, event(v=value)) == expected
    parse(expected)


@pytest.mark.parametrize("value", ["a`b", "a\rb", "a\x00b", "\ud800", "a\ufffdb"])
def test_what_a_backtick_literal_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(ValueRefused):
        fill_promql("up{a=`{{ labels.v }}`}", event(v=value))


@pytest.mark.parametrize(
    "promql",
    ["{{ service }}", "up{{{ service }}=\"x\"}", 'label_replace(up, "a", "{{ service }}", "b", ".*")',
     'up{"{{ service }}"}', "up # {{ service }}", 'up{a="\\{{ service }}"}', 'up{a="{{ service }}']
)  # fmt: skip
def test_a_template_that_could_change_the_query_is_a_fault_and_is_never_filled(promql: str) -> None:
    assert promql_faults(promql)
    with pytest.raises(ValueRefused):
        fill_promql(promql, event())


@given(value=st.text(min_size=1, max_size=40), quote=st.sampled_from("\"'`"))
def test_whatever_the_label_holds_the_selector_has_one_matcher_with_exactly_that_value(value: str, quote: str) -> None:
    try:
        filled = fill_promql(f"up{{a={quote}{{{{ labels.v }}}}{quote}}}", event(v=value))
    except ValueRefused:
        assert "\x00" in value or (quote == "`" and set(value) & set("`\r\ufffd"))
        return
    matchers = [(m.name, m.op, m.value) for m in parse_selector(filled) if m.name != "__name__"]
    assert matchers == [("a", "=", value)]


@given(value=st.text(min_size=1, max_size=20), other=st.text(max_size=20), quote=st.sampled_from("\"'"))
def test_whatever_the_label_holds_a_regex_matcher_matches_only_it(value: str, other: str, quote: str) -> None:
    assume("\x00" not in value)
    filled = fill_promql(f"up{{a=~{quote}{{{{ labels.v }}}}{quote}}}", event(v=value))
    (matcher,) = [m for m in parse_selector(filled) if m.name == "a"]
    assert matcher.matches({"a": value})
    assert matcher.matches({"a": other}) == (other == value)


@pytest.mark.parametrize(
    ("url", "value", "expected"),
    [
        ("http://{{ labels.v }}:8080/health", "payments-api_1", "http://payments-api_1:8080/health"),
        ("https://x/{{ labels.v }}", "a/../b?c#d", "https://x/a%2F..%2Fb%3Fc%23d"),
        ("https://x/?q={{ labels.v }}", "a&admin=1 ä", "https://x/?q=a%26admin%3D1%20%C3%A4"),
    ],
)
def test_url_values_are_encoded_where_they_stand(url: str, value: str, expected: str) -> None:
    assert fill_url(url, event(v=value)) == expected


@pytest.mark.parametrize(
    "value", ["evil.com", "169.254.169.254", "2130706433", "a@b", "a:80", "a/b", "[::1]", "-a", "0x7f"]
)
def test_an_alert_cannot_send_a_check_to_another_host(value: str) -> None:
    with pytest.raises(ValueRefused, match="can't be part of a host name"):
        fill_url("http://{{ labels.v }}/health", event(v=value))


@pytest.mark.parametrize("value", [".", ".."])
def test_a_path_cannot_climb(value: str) -> None:
    with pytest.raises(ValueRefused, match="climb"):
        fill_url("http://x/a/{{ labels.v }}/b", event(v=value))


DOTTED = {"service.name": 'rails"} or vector(1) #', "k8s.container.name": "web"}


@pytest.mark.parametrize(
    "promql",
    [
        'up{job="{{ labels["service.name"] }}"}',
        "up{job='{{ labels[\"service.name\"] }}'}",
        "up{job=\"{{ labels['service.name'] }}\"}",
        'up{job="{{ labels.service_name }}"}',
    ],
)
def test_a_label_with_dots_is_filled_in_by_its_quoted_name_and_escaped_as_any_other(promql: str) -> None:
    assert promql_faults(promql) == []
    matchers = parse_selector(fill_promql(promql, event(**DOTTED)))
    assert [(one.name, one.value) for one in matchers if one.name == "job"] == [("job", DOTTED["service.name"])]


def test_a_dotted_label_in_a_url_is_encoded_and_a_missing_one_is_named() -> None:
    url = 'http://web:80/{{ labels["k8s.container.name"] }}'
    assert fill_url(url, event(**DOTTED)) == "http://web:80/web"
    with pytest.raises(ValueRefused, match=r"label 'host\.name' is missing"):
        fill_promql('up{a="{{ labels["host.name"] }}"}', event())


@pytest.mark.parametrize(
    "promql", ['up{a="{{ labels["x"y"] }}"}', 'up{a="{{ labels[x.y] }}"}', 'up{a="{{ labels["a" }}"}']
)
def test_a_template_that_is_no_quoted_name_is_a_fault(promql: str) -> None:
    assert promql_faults(promql)


def test_into_a_webhooks_body_goes_a_plain_service_name_and_nothing_else() -> None:
    body = {"limit": "{{ service }}", "on": [{"host": "web-{{service}}"}, 3, True, None]}
    [planned] = plan_of(step(StepAction.call_webhook, name="job", body=body)).steps
    assert planned.target == "job"
    assert planned.params["body"] == {"limit": "payments", "on": [{"host": "web-payments"}, 3, True, None]}


@given(st.text(min_size=1).filter(lambda name: name.strip()))
def test_a_name_that_is_not_plain_is_sent_nowhere(name: str) -> None:
    call = step(StepAction.call_webhook, name="job", body={"limit": "{{ service }}"})
    try:
        [planned] = plan_of(call, about=event(service=name)).steps
    except PlanRefused:
        assert not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", name)
    else:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", planned.params["body"]["limit"])


def test_a_name_that_is_not_plain_is_refused_with_the_reason() -> None:
    call = step(StepAction.call_webhook, name="job", body={"limit": "{{ service }}"})
    for name in ("pay ments", "a;b", "$(x)", "x" * 129):
        with pytest.raises(PlanRefused, match="can't be sent elsewhere"):
            plan_of(call, about=event(service=name))
