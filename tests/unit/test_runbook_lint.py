"""runbooks lint: queries, examples, and what is never chosen."""

from pathlib import Path

import pytest

from sreops.__main__ import main
from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.json_schema import json_schema
from sreops.domain.runbooks.lint import remarks
from sreops.domain.runbooks.promql import selectors_of
from sreops.domain.runbooks.runbook import Runbook

HEAD = "version: 1\nrunbooks:\n"


def load(*runbooks: str) -> tuple[Runbook, ...]:
    return load_runbooks(HEAD + "".join(runbooks), path="books.yaml")


def book(name: str, when: str, more: str = "", steps: str = "[{action: restart_container}]") -> str:
    return f"  - id: {name}\n    when: {when}\n    steps: {steps}\n" + (f"    {more}\n" if more else "")


def told(*runbooks: str) -> list[str]:
    return [f"{one.runbook_id}: {one.what}" for one in remarks(load(*runbooks)) if one.wrong]


def test_a_query_that_is_no_promql_is_wrong() -> None:
    verify = "verify: [{promql: 'rate(up)', condition: '> 0'}]"
    (what,) = told(book("a", "{alertname: A}", verify))
    assert what.startswith("a: rate(up): is no PromQL: expected type matrix")


@pytest.mark.parametrize(
    "template", ['{{ labels["service.name"] }}', "{{ labels.app }}", "{{ service }}", "{{ container }}"]
)
def test_a_template_within_the_quotes_of_a_query_is_promql(template: str) -> None:
    assert (
        told(book("a", "{alertname: A}", f"""verify: [{{promql: 'up{{a="{template}"}}', condition: '== 1'}}]""")) == []
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('max by (name) (a{name="x"}) / (b{job=~"y",name="x"} > 0)', [("a", ("name",)), ("b", ("job", "name"))]),
        ("sum(rate(http_requests_total{code=~'5..'}[5m])) or vector(0)", [("http_requests_total", ("code",))]),
        ('up{a="{{ labels["service.name"] }}"}', [("up", ("a",))]),
        ('{"service.name"="x"}', [("", ("service.name",))]),
        ("max_over_time(up[5m:1m])", [("up", ())]),
        ("not a query(", []),
    ],
)
def test_the_selectors_of_a_query_are_found(query: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert [(one.metric, one.labels) for one in selectors_of(query)] == expected


def test_an_example_that_turns_out_otherwise_is_wrong() -> None:
    leak = book("leak", "{root_cause: memory_leak}", "examples: [{alert: {alertname: A}, cause: deadlock}]")
    assert told(leak) == [
        "leak: example 1 expects 'leak', and 'none' is chosen: "
        "no runbook's conditions hold for these alerts and this cause"
    ]


def test_an_example_may_expect_another_runbook_or_none() -> None:
    examples = (
        "examples: [{alert: {alertname: A}, cause: memory_leak}, "
        "{alert: {alertname: A}, cause: memory_leak, logs: migration started, expect: none}, "
        "{alert: {alertname: A}, cause: deadlock, expect: lock}]"
    )
    leak = book("leak", "{root_cause: memory_leak}", "not_when: {logs: migration}\n    " + examples)
    assert told(leak, book("lock", "{root_cause: deadlock}")) == []
    assert told(book("leak", "{root_cause: x}", "examples: [{alert: {a: b}, expect: lok}]")) == [
        "leak: example 1 expects 'lok': no such id"
    ]


def test_an_example_is_read_by_subject_severity_and_findings() -> None:
    when = "{severity: critical, subject: {kind: container, scope: {compose_project: shop}}, findings: 'OOM killer'}"
    alert = "{container_name: pay, compose_project: shop, severity: page}"
    examples = f"examples: [{{alert: {alert}, findings: the OOM killer ended it}}, {{alert: {alert}, expect: none}}]"
    assert told(book("oom", when, examples)) == []


def test_a_runbook_behind_a_wider_one_is_never_chosen() -> None:
    wide = book("wide", "{root_cause: [memory_leak, deadlock]}")
    narrow = book("narrow", "{root_cause: deadlock, alertname: 'X*'}")
    (what,) = told(wide, narrow)
    assert what.startswith("narrow: is never chosen by the rules: 'wide' stands before it")
    assert told(narrow, wide) == []
    assert told(wide, book("narrow", "{root_cause: deadlock, alertname: 'X*'}", "priority: 5")) == []


def test_a_wider_one_with_exceptions_is_only_worth_a_look() -> None:
    runbooks = load(
        book("wide", "{root_cause: deadlock}", "not_when: {logs: database}"), book("narrow", "{root_cause: deadlock}")
    )
    (remark,) = remarks(runbooks)
    assert (remark.runbook_id, remark.wrong) == ("narrow", False)


def test_another_action_is_reached_by_other_advice() -> None:
    scale = "[{action: scale_container, params: {replicas: 3}}]"
    assert told(book("wide", "{root_cause: slow}"), book("more", "{root_cause: slow}", steps=scale)) == []


def test_the_shipped_runbooks_have_nothing_wrong() -> None:
    text = (Path(__file__).parents[2] / "runbooks.yaml").read_text(encoding="utf-8")
    assert [one for one in remarks(load_runbooks(text, path="runbooks.yaml")) if one.wrong] == []


def test_the_command_names_file_and_runbook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "books.yaml"
    file.write_text(HEAD + book("a", "{alertname: A}", "verify: [{promql: 'rate(up)', condition: '> 0'}]"))
    assert main(["runbooks", "lint", str(file)]) == 1
    assert f"{file}: a: rate(up): is no PromQL" in capsys.readouterr().out.replace("\n", "")
    file.write_text(HEAD + book("a", "{alertname: A}"))
    assert main(["runbooks", "lint", str(file)]) == 0


def test_the_schema_knows_what_each_action_takes() -> None:
    schema = json_schema()
    step = schema["$defs"]["Step"]
    by_action = {
        one["if"]["properties"]["action"]["const"]: one["then"]["properties"]["params"] for one in step["allOf"]
    }
    assert by_action["wait"] == {"$ref": "#/$defs/WaitParams"}
    assert schema["$defs"]["WaitParams"]["required"] == ["seconds"]
    assert schema["$defs"]["Runbook"]["additionalProperties"] is False
