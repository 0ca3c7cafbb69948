"""The signs in real log lines: what each line speaks for, and the lines that only look like it."""

from datetime import UTC, datetime

import pytest

from growth import assert_linear
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.causes.analysis import Analysis, Brief, Category
from sreops.domain.causes.conclude import conclude
from sreops.domain.causes.log_signs import LOG_SIGNS
from sreops.domain.causes.taxonomy import CAUSES
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.text.patterns import first_line

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
C = Category


def brief(service: str, text: str, *more: Evidence) -> Brief:
    alert = AlertEvent.model_validate(
        {"event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing", "annotations": {}, "labels": {},
         "startsAt": NOW, "received_at": NOW, "tier": "autonomous", "severity": "critical", "service": service}
    )  # fmt: skip
    item = Evidence(id="E2", kind=EvidenceKind.logs, source="loki", finding="f", text=text)
    return Brief(incident_id="i", alerts=(alert,), evidence=(item, *more))


def concluded(*lines: str, service: str = "payments") -> Analysis:
    return conclude(brief(service, "\n".join(lines)))


@pytest.mark.parametrize(
    ("line", "category"),
    [
        ("cp: error writing '/data/x': Disk quota exceeded", C.disk_full),
        ("OSError: [Errno 122] EDQUOT", C.disk_full),
        ("write failed: quota exceeded for volume pvc-7", C.disk_full),
        ('pods "web-7" is forbidden: exceeded quota: compute, requested: cpu=2, used: cpu=8, limited: cpu=8',
         C.quota_exceeded),
        ("googleapi: Error 403: Quota exceeded for quota metric 'Queries', quotaExceeded", C.quota_exceeded),
        ("rpc error: code = RESOURCE_EXHAUSTED desc = Quota exhausted", C.quota_exceeded),
        ("open('/var/lib/app/log'): Read-only file system", C.disk_failed),
        ("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm java", C.disk_failed),
        ("kernel: blk_update_request: I/O error, dev sdb, sector 1234", C.disk_failed),
        ("accept4(): too many open files", C.resource_limit),
        ("Error: EMFILE, open '/app/x'", C.resource_limit),
        ("java.lang.Error: unable to create native thread: possibly out of memory", C.resource_limit),
        ("RuntimeError: can't start new thread", C.resource_limit),
        ("sh: fork: retry: Resource temporarily unavailable", C.resource_limit),
        ("Thread pool 'http' is exhausted: 200 of 200 busy", C.resource_limit),
        ("java.util.concurrent.RejectedExecutionException: Task rejected from pool [Running]", C.resource_limit),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", C.tls_failure),
        ("x509: certificate is valid for a.example, not b.example", C.tls_failure),
        ("ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] hostname mismatch", C.tls_failure),
        ("javax.net.ssl.SSLHandshakeException: no cipher suites in common", C.tls_failure),
        ("An error occurred (RequestTimeTooSkewed) when calling the PutObject operation", C.clock_skew),
        ("x509: certificate has expired or is not yet valid: current time 2020-01-01 is before 2026-02-01",
         C.clock_skew),
        ("jwt: token used before issued", C.clock_skew),
        ("listen tcp :8080: bind: address already in use", C.bad_configuration),
        ("Error: listen EADDRINUSE: address already in use :::3000", C.bad_configuration),
        ('MountVolume.SetUp failed: secret "db-credentials" not found', C.bad_configuration),
        ("FATAL: STRIPE_API_KEY must be set", C.bad_configuration),
        ('OCI runtime create failed: exec: "/app/run": stat /app/run: no such file or directory', C.bad_configuration),
        ("ModuleNotFoundError: No module named 'redis'", C.bad_configuration),
        ('ERROR:  relation "orders_v2" does not exist at character 15', C.bad_deploy),
        ("Migration V12__add_column.sql failed", C.bad_deploy),
        ("error: Dirty database version 17. Fix and force version.", C.bad_deploy),
        ("lookup db.internal on 10.0.0.2:53: server misbehaving", C.dns_failure),
        ("dial tcp: lookup api: i/o timeout", C.dns_failure),
        ("upstream api.stripe.com answered 429 Too Many Requests", C.rate_limited),
        ("botocore ThrottlingException: Rate exceeded", C.rate_limited),
        ("openai.RateLimitError: Error code: 429", C.rate_limited),
        ("replication lag is 312 seconds, above 30", C.replication_lag),
        ("Seconds_Behind_Master: 4210", C.replication_lag),
        ("FATAL: requested WAL segment 000000010000000000000003 has already been removed", C.replication_lag),
        ("replica db-2 is 40 s behind the primary", C.replication_lag),
        ("consumer group billing lag=182734 on topic orders", C.queue_backlog),
        ("queue depth 91000 exceeds 5000 and is growing; queue orders depth above limit", C.queue_backlog),
        ("org.apache.kafka.clients.consumer.CommitFailedException: Offset commit cannot be completed",
         C.queue_backlog),
    ],
)  # fmt: skip
def test_a_line_speaks_for_its_cause(line: str, category: Category) -> None:
    analysis = concluded("started", line, "GET / 200")
    assert analysis.category is category
    assert 0.5 <= analysis.confidence <= max(one.strength for one in LOG_SIGNS if one.category is category)
    assert not CAUSES[category].action.acts
    assert "(E2)" in analysis.root_cause


@pytest.mark.parametrize(
    "line",
    [
        "disk quota at 40 %",
        "storage quota is at 81 %, quota will be reached in 9 days",
        "quota exceeded at 85% warning level only",
        "http: TLS handshake error from 10.0.0.9:51234: EOF",
        "RejectedExecutionException: executor is shutting down",
        "replication lag is 0 ms",
        "replica caught up, lag 12 ms before",
        "Seconds_Behind_Master: 0",
        "consumer lag 812 draining",
        "limiting requests, excess: 5.9 by zone one, client: 10.0.0.7 429 too many requests",
        "max open files: 65536",
        "all migrations applied",
        "clock synchronized, skew 1 ms",
        "listening on port 8080",
        "secret rotation finished",
        "GET /reports/429/rate 200",
    ],
)
def test_a_line_that_only_looks_like_it_is_no_decisive_sign(line: str) -> None:
    assert concluded(line).confidence < 0.6


def test_an_expired_certificate_is_not_told_as_a_failed_handshake() -> None:
    line = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired"
    assert concluded(line).category is C.certificate_expired


def test_a_replica_that_has_caught_up_again_costs_confidence() -> None:
    late = "replication lag is 312 seconds"
    assert concluded(late, "replica has recovered").confidence < concluded(late).confidence


def test_every_cause_that_logs_can_show_has_a_sign_and_its_words_name_the_service_once() -> None:
    shown = {sign.category for sign in LOG_SIGNS}
    assert set(Category) - shown == {C.cpu_saturation, C.false_alarm, C.unknown}
    for category, cause in CAUSES.items():
        assert cause.of("payments").count("payments") == 1, category
        assert "{" not in cause.of("payments")


def test_no_sign_says_again_what_its_cause_says() -> None:
    for sign in LOG_SIGNS:
        words = CAUSES[sign.category].words.replace("{service}", "").strip()
        assert sign.name not in words, sign.name
        assert words not in sign.name, sign.name


def test_the_cause_is_one_sentence_with_the_service_and_what_shows_it() -> None:
    assert concluded("QueuePool limit of size 5 overflow 10 reached").root_cause == (
        "The connection pool of payments is exhausted: requests wait in vain for a connection from the pool (E2)."
    )
    item = Evidence(id="E7", kind=EvidenceKind.container, source="docker", finding="f", text="EMFILE")
    twice = conclude(brief("payments", "EMFILE", item))
    assert twice.root_cause == (
        "payments has reached a limit on files or threads: the process has as many files open as it may (E2, E7)."
    )
    odd = concluded("EMFILE", service="a\nb\u202e{service}")
    assert "\n" not in odd.root_cause
    assert "\u202e" not in odd.root_cause


def test_counter_signs_cost_linear_time_too() -> None:
    lines = ["replication lag 1" + " lag" * 4000 + " consumer group" * 2000 + " POST https://" * 900] * 8
    text = "\n".join(lines)

    def work(size: int) -> None:
        for sign in LOG_SIGNS:
            first_line(sign.pattern, text[:size], but_not=sign.but_not)

    assert_linear(work, 16_000)
