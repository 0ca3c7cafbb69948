"""Which channel takes what, and how settings and URLs of channels are read."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from sreops.adapters.notify.channel_url import channels_of, with_parameters
from sreops.domain.alerts.alert import Severity
from sreops.domain.records.channel import ChannelRule, next_digest
from sreops.domain.records.notice import Notice, NoticeKind
from sreops.settings import NotifySettings


def notice(kind: str, severity: str) -> Notice:
    return Notice(notice_id="n", incident_id="i", episode=1, kind=NoticeKind(kind), severity=Severity(severity))


@pytest.mark.parametrize(
    ("rule", "kind", "severity", "takes", "at_once"),
    [
        (ChannelRule(), "attention", "critical", True, True),
        (ChannelRule(), "attention", "warning", True, False),
        (ChannelRule(), "approval", "warning", True, True),
        (ChannelRule(), "worse", "info", True, False),
        (ChannelRule.read("warning", None), "attention", "warning", True, True),
        (ChannelRule.read("warning", None), "attention", "critical", True, True),
        (ChannelRule.read("warning", None), "attention", "info", False, True),
        (ChannelRule.read(["warning"], None), "attention", "critical", False, True),
        (ChannelRule.read("critical", None), "approval", "warning", False, True),
        (ChannelRule.read(None, "approval"), "approval", "info", True, True),
        (ChannelRule.read(None, "approval"), "attention", "critical", False, True),
        (ChannelRule.read(None, "attention"), "worse", "critical", True, True),
        (ChannelRule.read(None, "person"), "approval", "warning", True, True),
    ],
)
def test_which_channel_takes_what(rule: ChannelRule, kind: str, severity: str, takes: bool, at_once: bool) -> None:
    assert rule.takes(notice(kind, severity)) is takes
    assert rule.at_once(notice(kind, severity)) is at_once


def test_urls_are_read_as_words_or_as_a_list() -> None:
    plain = NotifySettings.model_validate({"urls": "ntfys://ntfy.sh/t  json://127.0.0.1/x"})
    assert [one.url.get_secret_value() for one in plain.urls] == ["ntfys://ntfy.sh/t", "json://127.0.0.1/x"]
    told = '[{"url": "json://h/x", "severity": "critical", "needs": null}, "json://h/y"]'
    listed = NotifySettings.model_validate({"urls": told})
    assert listed.urls[0].rule.severities == {Severity.critical}
    assert listed.urls[1].rule == ChannelRule()


@pytest.mark.parametrize(
    "urls",
    [
        '[{"url": "json://h", "severity": "loud"}]',
        '[{"url": "json://h", "need": "x"}]',
        "[not json",
        '[{"needs": "x"}]',
    ],
)
def test_what_can_not_be_read_is_refused(urls: str) -> None:
    with pytest.raises(ValidationError):
        NotifySettings.model_validate({"urls": urls})


def test_no_token_shows_in_names_and_labels() -> None:
    urls = "slack://TOKENA1234/TOKENB1234/TOKENC1234 tgram://123456789:abcdefg/12315544 jsons://u:secretpw@hook.example/t0ken"
    shown = repr([one.channel for one in channels_of(NotifySettings.model_validate({"urls": urls}).urls)])
    for secret in ("TOKENA1234", "abcdefg", "secretpw", "t0ken"):
        assert secret not in shown
    assert "hook.example" in shown


def test_parameters_are_added_and_never_replace_what_the_user_gave() -> None:
    assert with_parameters("ntfy://h/t", {"priority": "max"}) == "ntfy://h/t?priority=max"
    assert with_parameters("ntfy://h/t?priority=low", {"priority": "max"}) == "ntfy://h/t?priority=low"
    assert (
        with_parameters("ntfy://h/t?a=1", {"click": "https://x/y?z"}) == "ntfy://h/t?a=1&click=https%3A%2F%2Fx%2Fy%3Fz"
    )


def test_digests_are_due_at_the_same_moment_for_all_replicas() -> None:
    now = datetime(2026, 3, 1, 12, 59, 59, tzinfo=UTC)
    assert next_digest(now, 3600) == datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert next_digest(datetime(2026, 3, 1, 13, tzinfo=UTC), 3600) == datetime(2026, 3, 1, 14, tzinfo=UTC)
