"""What of the evidence is told first: numbers that say more, a line that complains, what was changed before."""

from typing import Any

from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.records.clues import changes, log_line, numbers, standing_out, unseen

UUID = "0b5e1a9c-4d6f-4f3a-9a54-2b1c6d7e8f90"
TRACE = "e810c30d039342aecd4352330e8ec0a3"


def piece(number: int, kind: str, finding: str, source: str = "s", **data: Any) -> Evidence:
    return Evidence(id=f"E{number}", kind=EvidenceKind(kind), source=source, finding=finding, data=data)


def test_a_number_that_the_headline_holds_is_not_told_twice() -> None:
    slow = piece(1, "metric", "95th percentile of latency rose from 262 ms to 1.01 s", signal="latency_p95")
    full = piece(2, "metric", "memory rose to 98 %", signal="memory")
    headline = "Responses of web are slow: 1 in 20 takes longer than 1.01 s, was 262 ms."
    assert numbers([slow, full], ("E1", "E2"), headline) == ("memory rose to 98 %",)


def test_a_counter_of_errors_is_told_for_its_name() -> None:
    errors = piece(1, "metric", "token_errors per second rose from 0.2/s to 493/s", signal="errors:token_errors_total")
    assert numbers([errors], ("E1",), "Requests fail: 493 errors a second, was 0.2.") == (errors.finding,)


def test_without_a_cause_what_changed_most_is_told_first_and_what_is_cited_is_not_told_again() -> None:
    calm = piece(1, "metric", "memory steady", signal="memory", change=0.02)
    queue = piece(2, "metric", "queue rose", signal="queue", change=0.94)
    slow = piece(3, "metric", "latency rose", signal="latency_p95", change=0.5)
    assert standing_out([calm, slow, queue], "web") == ("queue rose", "latency rose")
    assert standing_out([calm, slow, queue], "web", ("E2",)) == ("latency rose",)
    assert standing_out([calm], "web", ("E9",)) == ()


def test_what_got_better_does_not_stand_out_and_traffic_that_is_gone_does() -> None:
    fewer = piece(1, "metric", "share of requests that fail fell", signal="error_ratio", change=-1.0)
    gone = piece(2, "metric", "request rate fell", signal="request_rate", change=-1.0)
    assert standing_out([fewer, gone], "web") == ("request rate fell",)


def test_where_nothing_changed_much_the_first_questions_are_answered() -> None:
    cpu = piece(1, "metric", "CPU steady", signal="cpu", change=0.0)
    slow = piece(2, "metric", "latency steady at 898 ms", signal="latency_p95", change=-0.1)
    assert standing_out([cpu, slow], "web") == ("latency steady at 898 ms", "CPU steady")


def test_another_service_that_changed_most_of_all_is_named_unless_the_ranking_abstains() -> None:
    assert standing_out([piece(1, "suspects", "x", first="db", abstained=False)], "web") == (
        "of all services db changed most",
    )
    assert standing_out([piece(1, "suspects", "x", first="db", abstained=True)], "web") == ()
    assert standing_out([piece(1, "suspects", "x", first="web", abstained=False)], "web") == ()


def test_the_line_that_complains_is_told_without_the_ids_that_nobody_reads_aloud() -> None:
    top = ["INFO started", f"ERROR no such token trace_id={TRACE} of {UUID} route=/api"]
    logs = piece(1, "logs", "web: 2 lines", top=top)
    assert log_line([logs], ("E1",), everywhere=False) == "ERROR no such token of … route=/api"
    assert log_line([logs], (), everywhere=False) == ""
    assert log_line([logs], (), everywhere=True) == "ERROR no such token of … route=/api"


def test_what_an_older_sreops_kept_has_no_telling_line_and_chatter_is_none() -> None:
    assert log_line([piece(1, "logs", "web: 2 lines")], ("E1",), everywhere=True) == ""
    assert log_line([piece(1, "logs", "web: 2 lines", top=["INFO served"])], ("E1",), everywhere=True) == ""


def test_a_deployment_comes_first_then_what_was_noted_of_the_service_itself() -> None:
    noted = piece(1, "change", "4 noted", "grafana", own=["11 min before the alert (at 14:51:56 UTC): flag on"])
    deployed = piece(
        2, "change", "c4a90b16 …", "gitlab", deployment=7, sha="c4a90b16" * 5, project="shop/web", by="alice",
        environment="production", before_s=960.0,
    )  # fmt: skip
    assert changes([noted, deployed], ()) == (
        "16 min before the alert: deployed by alice to production, c4a90b16 of shop/web",
        "11 min before the alert: flag on",
    )
    assert changes([noted, deployed], ("E2",)) == ("11 min before the alert: flag on",), "the cause says it already"


def test_a_deployment_of_which_only_the_finding_is_known_is_told_by_it() -> None:
    assert changes([piece(1, "change", "4.2.1 deployed by ada", deployment=7)], ()) == ("4.2.1 deployed by ada",)
    assert changes([piece(1, "change", "no container was created", own=[])], ()) == ()


def test_what_could_not_be_seen_is_what_no_source_gave() -> None:
    loki, prometheus = piece(1, "gap", "x", "loki"), piece(2, "gap", "x", "prometheus")
    docker = piece(3, "gap", "x", "docker")
    assert unseen([loki, prometheus, docker]) == "no logs, no metrics and no container"
    assert unseen([loki, piece(4, "logs", "from the engine", "docker", lines=3)]) == ""
    assert unseen([loki, piece(4, "logs", "no log line", "docker", lines=0)]) == "no logs"
