"""The runbooks file: read by its schema, with file, line and field of every fault, whatever the text is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.runbook import Autonomy, Runbook, StepAction
from sreops.errors import RunbooksInvalid

GOOD = """\
version: 1
runbooks:
  - id: restart-web
    title: Restart the web server
    when:
      alertname: ["High*", Down]
      labels: {team: [web, 7], env: prod}
      root_cause: out of memory
      logs: "panic:"
    not_when:
      logs: ["migration"]
    autonomy: autonomous
    cooldown_s: 30
    steps:
      - action: restart_container
        params: {container: "{{ labels.container }}"}
        timeout_s: 20
      - action: wait
        params: {seconds: 1.5}
        required: false
      - action: scale_container
        params: {replicas: 3}
      - action: http_check
        params: {url: "http://{{ service }}:8080/health", status: 204}
      - action: query_prometheus
        params: {promql: 'up{job="{{ service }}"}', condition: "== 1"}
    verify:
      - promql: 'rate(errors_total{job="{{ service }}"}[1m])'
        condition: "< 0.01"
        for_s: 5
    docs: read this
"""


def load(text: str) -> tuple[Runbook, ...]:
    return load_runbooks(text, path="runbooks.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(RunbooksInvalid) as caught:
        load(text)
    return list(caught.value.problems)


def problems_if_any(text: str) -> list[str]:
    """Return the faults; any exception but RunbooksInvalid, and one without faults, fails the test."""
    try:
        load(text)
    except RunbooksInvalid as exc:
        return list(exc.problems) or ["refused without a fault"]
    return []


def with_runbook(body: str) -> str:
    """Return a file with one runbook whose fields are ``body``, the first of them on line 3."""
    first, *rest = body.replace("$steps", "steps: [{action: restart_container}]").splitlines()
    return "version: 1\nrunbooks:\n  - " + "\n    ".join([first, *rest]) + "\n"


def with_step(step: str) -> str:
    return with_runbook(f"id: a\nwhen: {{}}\nsteps:\n  - {step}")


def test_reads_every_field_of_the_schema() -> None:
    (runbook,) = load(GOOD)
    assert (runbook.id, runbook.title) == ("restart-web", "Restart the web server")
    assert runbook.when.alertname == ("High*", "Down")
    assert runbook.when.labels == {"team": ("web", "7"), "env": ("prod",)}
    assert runbook.when.root_cause == ("out of memory",)
    assert runbook.when.logs == ("panic:",)
    assert runbook.not_when.logs == ("migration",)
    assert runbook.autonomy is Autonomy.autonomous
    assert runbook.cooldown_s == 30
    assert [step.action for step in runbook.steps][:2] == [StepAction.restart_container, StepAction.wait]
    assert runbook.steps[0].timeout_s == 20
    assert (runbook.steps[1].required, runbook.steps[1].params) == (False, {"seconds": 1.5})
    assert runbook.steps[2].params == {"replicas": 3}
    assert runbook.steps[3].params["status"] == 204
    assert runbook.verify[0].for_s == 5
    assert runbook.docs == "read this"


def test_defaults_are_the_cautious_ones() -> None:
    (runbook,) = load(with_step("action: restart_container"))
    assert runbook.autonomy is Autonomy.supervised
    assert runbook.cooldown_s == 600
    assert runbook.verify == ()
    assert runbook.steps[0].required


def test_a_folded_text_is_one_line() -> None:
    body = "id: a\nwhen: {}\n$steps\nverify:\n  - promql: >-\n      sum(up)\n      > 0\n    condition: '> 0'"
    (runbook,) = load(with_runbook(body))
    assert runbook.verify[0].promql == "sum(up) > 0"


def test_too_many_runbooks_are_refused() -> None:
    one = "  - {id: a, when: {}, steps: [{action: restart_container}]}\n"
    assert problems("version: 1\nrunbooks:\n" + one * 1001) == [
        "runbooks.yaml:3: runbooks: has 1001 entries, more than 1000"
    ]


def test_no_runbooks_is_a_valid_file() -> None:
    assert load("version: 1\nrunbooks: []\n") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "runbooks.yaml:1: file: is empty"),
        ("- a\n", "runbooks.yaml:1: file: must be a mapping, not a list"),
        ("just text", "runbooks.yaml:1: file: must be a mapping, not 'just text'"),
        ("runbooks: []\n", "runbooks.yaml:1: version: is missing"),
        ("version: 2\nrunbooks: []\n", "runbooks.yaml:1: version: is 2, and only 1 is known"),
        ("version: 1\nrunbooks: {}\n", "runbooks.yaml:2: runbooks: must be a list, not a mapping"),
        ("version: 1\nrunbook: []\nrunbooks: []", "runbooks.yaml:2: runbook: is not a field; did you mean 'runbooks'?"),
        (
            "version: 1\nversion: 1\nrunbooks: []",
            "runbooks.yaml:2: version: stands here a second time; first on line 1",
        ),
        ("version: 1\n\trunbooks: []\n", "runbooks.yaml:2: file: is not YAML: found character '\\t'"),
        ("version: 1\nrunbooks: &x [*x]\n", "runbooks.yaml:2: file: alias '*x': aliases are not read here"),
        ("version: 1\nrunbooks: !!binary aGk=\n", "runbooks.yaml:2: file: tag"),
        ("version: 1\nrunbooks: !!python/object:os.system []\n", "runbooks.yaml:2: file: tag"),
        (
            "version: 1\nrunbooks: []\n---\nversion: 1\n",
            "runbooks.yaml:3: file: is not YAML: but found another document",
        ),
        ("version: " + "[" * 5000, "runbooks.yaml:1: file: is nested deeper than 20 levels"),
        ("version: 1\nrunbooks: [\n", "file: is not YAML"),
        ("\x00", "runbooks.yaml:1: file: is not YAML"),
        ('version: "\\U99999999"', "runbooks.yaml:1: file: is not YAML"),
        ("%YAML 9.9\n---\na: 1", "file: is not YAML"),
        ("x" * 1_000_001, "runbooks.yaml:1: file: is longer than 1000000 characters"),
    ],
)
def test_what_is_no_runbooks_file_is_told_with_its_line(text: str, expected: str) -> None:
    assert expected in problems(text)[0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("id: a b\nwhen: {}\nsteps: [{action: wait, params: {seconds: 1}}]", ":3: runbooks[0].id: 'a b' may hold only"),
        ("id: 12\nwhen: {}\n$steps", ":3: runbooks[0].id: must be text, not '12'"),
        ("id: a\n$steps", ":3: runbooks[0].when: is missing"),
        ("id: a\nwhen: {}\nsteps: []", ":5: runbooks[0].steps: must not be empty"),
        ("id: a\nwhen: {}", ":3: runbooks[0].steps: is missing"),
        ("id: a\nwhen: {alerts: x}\n$steps", ":4: runbooks[0].when.alerts: is not a field"),
        ("id: a\nwhen: {logs: '(a'}\n$steps",
         ":4: runbooks[0].when.logs: '(a' is not a pattern that RE2 takes: missing ): (a"),
        ("id: a\nwhen:\n  logs:\n    - ok\n    - '(?=x)'\n$steps",
         ":7: runbooks[0].when.logs[1]: '(?=x)' is not a pattern"),
        ("id: a\nwhen: {alertname: '[z-a]'}\n$steps", ":4: runbooks[0].when.alertname: '[z-a]'"),
        ("id: a\nwhen: {labels: web}\n$steps", ":4: runbooks[0].when.labels: must be a mapping"),
        ("id: a\nwhen: {labels: {}}\n$steps", ":4: runbooks[0].when.labels: must not be empty"),
        ("id: a\nwhen: {logs: []}\n$steps", ":4: runbooks[0].when.logs: must not be empty"),
        ("id: a\nwhen: {logs: ~}\n$steps", ":4: runbooks[0].when.logs: must be text, not nothing"),
        ("id: a\nwhen: {}\nautonomy: autonomus\n$steps",
         ":5: runbooks[0].autonomy: 'autonomus' is not an autonomy; did you mean 'autonomous'? one of"),
        ("id: a\nwhen: {}\ncooldown_s: -1\n$steps",
         ":5: runbooks[0].cooldown_s: must be a number from 0 to 604800, not -1"),
        ("id: a\nwhen: {}\ncooldown_s: .inf\n$steps", "cooldown_s: must be a number, not '.inf'"),
        ("id: a\nwhen: {}\ncooldown_s: " + "9" * 5000 + "\n$steps", "cooldown_s: must be a number"),
        ("id: a\nwhen: {}\ncooldown_s: 5m\n$steps", "cooldown_s: must be a number, not '5m'"),
        ("id: a\nwhen: {}\n$steps\nverify: [{promql: up}]",
         ":6: runbooks[0].verify[0].condition: is missing"),
        ("id: a\nwhen: {}\n$steps\nverify: [{condition: '> 0', for_s: 5}]", ":6: runbooks[0].verify[0].promql: is"),
        ("id: a\nwhen: {}\n$steps\nverify: [{promql: up, condition: low}]",
         ":6: runbooks[0].verify[0].condition: 'low' is not a comparison"),
        ("id: a\nwhen: {}\n$steps\nverify: [{promql: 'up{a=\"x}', condition: '> 0'}]",
         "verify[0].promql: has a string that starts with \" and does not end"),
        ("id: a\nwhen: {}\n$steps\nverify: [{promql: 'up{', condition: '> 0'}]",
         "verify[0].promql: has 1 '{' but 0 '}'"),
    ],
)  # fmt: skip
def test_faults_of_a_runbook_name_line_and_field(body: str, expected: str) -> None:
    assert expected in "\n".join(problems(with_runbook(body)))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{}", "runbooks[0].steps[0].action: is missing"),
        ("{action: restart}", ":6: runbooks[0].steps[0].action: 'restart' is not an action; "),
        ("{action: wait}", "steps[0].params.seconds: is missing: wait needs it"),
        ("{action: wait, params: {seconds: -1}}", "steps[0].params.seconds: must be a number from 0 to 3600, not -1"),
        ("{action: wait, params: {seconds: '1'}}", "steps[0].params.seconds: must be a number, not '1'"),
        ("{action: scale_container}", "steps[0].params.replicas: is missing: scale_container needs it"),
        ("{action: scale_container, params: {replicas: 0}}", "replicas: must be a whole number from 1 to 1000, not 0"),
        ("{action: scale_container, params: {replicas: 1.5}}", "replicas: must be a whole number, not '1.5'"),
        ("{action: restart_container, params: {seconds: 3}}", "params.seconds: is not a field; one of container"),
        ("{action: restart_container, params: {container: a, service: b}}", "has both `container` and `service`"),
        ("{action: restart_container, params: {container: '{{ host }}'}}", "'{{ host }}' is not known here"),
        ("{action: restart_container, params: {container: '{{ service'}}", "has '{{' without a closing '}}'"),
        ("{action: restart_container, required: maybe}", "steps[0].required: must be true or false, not 'maybe'"),
        ("{action: restart_container, timeout_s: 0}", "steps[0].timeout_s: must be a number from 0.1 to 3600, not 0"),
        ("{action: query_prometheus}", "params.promql: is missing"),
        ("{action: query_prometheus, params: {promql: '{{ service }}'}}", "has a template outside a string literal"),
        ("{action: query_prometheus, params: {promql: 'up # {{ service }}'}}", "has a template outside a string"),
        ("{action: query_prometheus, params: {promql: 'up{\"{{ service }}\"}'}}", "not the value of a label matcher"),
        ("{action: query_prometheus, params: {promql: 'up{a=\"\\{{ service }}\"}'}}", "has a backslash before"),
        ("{action: query_prometheus, params: {promql: 'up{a=~\"\\\\Q{{ service }}\\\\E\"}'}}", "leave \\Q out"),
        ("{action: http_check, params: {url: 'file:///etc/passwd'}}", "params.url: must start with http:// or https://"),
        ("{action: http_check, params: {url: '{{ labels.url }}'}}", "params.url: must start with http:// or https://"),
        ("{action: http_check, params: {url: 'http://user:pw@host/'}}", "params.url: must not carry credentials"),
        ("{action: http_check, params: {url: 'http:///x'}}", "params.url: names no host"),
        ("{action: http_check, params: {url: 'http://a/ b'}}", "params.url: must not hold spaces"),
        ("{action: http_check, params: {url: 'http://a', status: 99}}", "must be a whole number from 100 to 599"),
        ("{action: notify}", "params.message: is missing"),
        ("{action: scale_container, params: {replicas: 2, by: 1, max: 3}}", "has both `replicas`"),
        ("{action: scale_container, params: {by: 1}}", "needs `max` with `by`: each alert would add more"),
        ("{action: scale_container, params: {by: 0, max: 3}}", "must not be 0"),
        ("{action: scale_container, params: {by: 1, min: 4, max: 3}}", "has a min of 4 above its max of 3"),
        ("{action: scale_container, params: {replicas: 1, min: 4}}", "takes `min` and `max` with `by` only"),
        ("{action: exec_in_container}", "params.command: is missing: exec_in_container needs it"),
        ("{action: exec_in_container, params: {command: rm -rf /}}", "must be a list of words"),
        ("{action: exec_in_container, params: {command: []}}", "has 0 words, and 1 to 64 may be"),
        ("{action: exec_in_container, params: {command: [sh, '{{ service }}']}}", "nothing is filled in here"),
        ("{action: stop_container}", "needs `verify`: what is stopped can't be looked at"),
    ],
)  # fmt: skip
def test_faults_of_a_step_name_line_and_field(step: str, expected: str) -> None:
    assert expected in "\n".join(problems(with_step(step)))


def test_every_fault_is_told_at_once_and_in_order() -> None:
    first = "  - id: a\n    when: {logs: '('}\n    steps: [{action: stop}]\n"
    text = f"version: 1\nrunbooks:\n{first}  - id: b\n    steps: []\n"
    lines = [int(problem.split(":")[1]) for problem in problems(text)]
    assert lines == [4, 5, 6, 7]


def test_a_second_runbook_of_the_same_id_is_refused() -> None:
    text = "version: 1\nrunbooks:\n" + "  - {id: a, when: {}, steps: [{action: restart_container}]}\n" * 2
    assert problems(text) == ["runbooks.yaml:4: runbooks[1].id: 'a' is the id of the runbook on line 3, too"]


def test_a_flood_of_faults_is_cut_and_counted() -> None:
    found = problems("version: 1\nrunbooks:\n" + "  - {}\n" * 100)
    assert len(found) == 51
    assert found[-1] == "runbooks.yaml: … and 250 more problems"


_yaml_bits = st.sampled_from(
    ["version: 1\n", "runbooks:\n", "  - id: a\n", "    when: {}\n", "    steps:\n", "      - action: wait\n", "&a ",
     "*a", "!!int ", "!x ", "<<: ", "{", "}", "[", "]", "? ", ": ", "- ", "|\n", ">-\n", "%TAG ! x\n", "---\n", "...\n",
     "'", '"', "\\x", "\t", "#", "1e999", "2020-99-99", "0o9", "~", "\u2028", "\ufeff", "{{ service }}"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(_yaml_bits, max_size=25).map("".join)))
def test_any_text_is_read_or_refused_as_invalid_runbooks(text: str) -> None:
    assert all(problem.startswith("runbooks.yaml:") for problem in problems_if_any(text))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(GOOD)), cut=st.integers(0, 12), new=st.one_of(st.text(max_size=6), _yaml_bits))
def test_a_good_file_with_a_change_is_read_or_refused_as_invalid_runbooks(at: int, cut: int, new: str) -> None:
    changed = GOOD[:at] + new + GOOD[at + cut :]
    assert all(problem.startswith("runbooks.yaml:") for problem in problems_if_any(changed))


def calling(params: str) -> str:
    return f"version: 1\nrunbooks:\n  - {{id: a, when: {{}}, steps: [{{action: call_webhook, params: {params}}}]}}\n"


def test_a_webhooks_body_is_read_as_json_has_it() -> None:
    [runbook] = load(
        calling("{name: job, body: {a: 1, b: [true, 1.5, null, \"2\"], c: 2024-01-02, d: '{{ service }}'}}")
    )
    assert runbook.steps[0].params["body"] == {
        "a": 1, "b": [True, 1.5, None, "2"], "c": "2024-01-02", "d": "{{ service }}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ("{body: {}}", "params.name: is missing"),
        ("{name: job, body: [1]}", "must be a mapping"),
        ("{name: job, body: {a: '{{ labels.pod }}'}}", "only {{ service }} is"),
        ("{name: job, body: {'{{ service }}': 1}}", "a name can't hold a template"),
        ("{name: job, url: 'http://x'}", "is not a field"),
        ("{name: job, body: {a: '" + "x" * 70_000 + "'}}", "is longer than 65536 characters"),
    ],
)
def test_a_call_that_can_not_be_sent_is_refused_with_its_place(params: str, told: str) -> None:
    [found] = problems(calling(params))
    assert told in found
    assert found.startswith("runbooks.yaml:3: runbooks[0].steps[0].params")
