"""What every Logs must do; subclasses say where the lines are (see test_logs_*.py)."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from sreops.adapters.observability.loki import LokiLogs
from sreops.domain.evidence.evidence import Window
from sreops.domain.evidence.log_selection import LogSelector
from sreops.domain.text.quoting import is_quotable
from sreops.errors import QueryRefused
from sreops.settings import LokiSettings

Push = Callable[[Mapping[str, str], Sequence[tuple[datetime, str]]], None]
HOSTILE = [
    'a"} |= "x', "back\\slash", "new\nline", "tab\t", "`tick`", "'single'", "größe 東京 😀", "\ufffd", "\x7f\x01",
    '"} or {a="b', "\u2028\u2029", "{{ .Values }}", "%0a", "x" * 1500, "\\", '\\"', "\u202e",
]  # fmt: skip


class LogsContract:
    """Subclasses give ``url`` and ``push``; ``now`` is a time that the server takes for the present."""

    @pytest.fixture
    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=123456)

    @pytest.fixture
    def name(self) -> str:
        return f"payments-{uuid.uuid4().hex[:12]}"

    @pytest.fixture
    async def logs(self, url):
        adapter = LokiLogs(LokiSettings(url=url))
        yield adapter
        await adapter.aclose()

    def window(self, now: datetime) -> Window:
        return Window(start=now - timedelta(minutes=15), end=now + timedelta(minutes=5))

    async def test_lines_of_all_streams_come_merged_and_oldest_first(self, logs, push, name, now):
        push({"container": name, "level": "info"}, [(now - timedelta(seconds=s), f"i{s}") for s in (30, 20, 10)])
        push({"container": name, "level": "error"}, [(now - timedelta(seconds=s), f"e{s}") for s in (25, 15)])
        push({"container": name + "-other"}, [(now, "not mine")])
        found = await logs.lines({"container": name}, self.window(now), limit=100, timeout_s=10)
        assert [line.text for line in found.lines] == ["i30", "e25", "i20", "e15", "i10"]
        assert [line.at for line in found.lines] == [now - timedelta(seconds=s) for s in (30, 25, 20, 15, 10)]
        assert found.lines[1].labels["level"] == "error"
        assert (found.partial, found.notes) == (False, ())
        assert found.query == f'{{container="{name}"}}'

    async def test_streams_of_a_selector_are_listed_with_all_their_labels(self, logs, push, name, now):
        push({"container": f"/{name}", "level": "info"}, [(now, "a")])
        push({"container": name, "level": "error"}, [(now, "b")])
        push({"container": f"{name}-other"}, [(now, "not mine")])
        selector = LogSelector(patterns={"container": f"/?{name}"})
        found = await logs.streams(selector, self.window(now), timeout_s=10)
        assert sorted((one["container"], one["level"]) for one in found) == [(f"/{name}", "info"), (name, "error")]
        lines = await logs.select(selector, self.window(now), limit=10, timeout_s=10)
        assert sorted(line.text for line in lines.lines) == ["a", "b"]
        nobody = LogSelector({"container": f"{name}-nobody"})
        assert list(await logs.streams(nobody, self.window(now), timeout_s=10)) == []

    async def test_the_newest_of_a_window_are_kept_and_the_cut_is_told(self, logs, push, name, now):
        push({"container": name}, [(now + timedelta(milliseconds=i), f"n{i}") for i in range(50)])
        found = await logs.lines({"container": name}, self.window(now), limit=5, timeout_s=10)
        assert [line.text for line in found.lines] == ["n45", "n46", "n47", "n48", "n49"]
        assert found.partial
        assert "limit of 5 lines" in found.notes[0]

    async def test_a_limit_above_the_servers_is_lowered_and_not_refused(self, logs, push, name, now):
        push({"container": name}, [(now, "one")])
        found = await logs.lines({"container": name}, self.window(now), limit=1_000_000, timeout_s=10)
        assert [line.text for line in found.lines] == ["one"]

    async def test_both_ends_of_the_window_belong_to_it(self, logs, push, name, now):
        window = Window(start=now - timedelta(seconds=10), end=now)
        times = [window.start - timedelta(microseconds=1), window.start, window.end, window.end + timedelta(seconds=1)]
        push({"container": name}, [(at, str(place)) for place, at in enumerate(times)])
        found = await logs.lines({"container": name}, window, limit=10, timeout_s=10)
        assert [line.text for line in found.lines] == ["1", "2"]

    async def test_no_lines_are_an_answer(self, logs, name, now):
        found = await logs.lines({"container": name}, self.window(now), limit=10, timeout_s=10)
        assert (found.lines, found.partial) == ((), False)

    async def test_a_line_is_told_as_it_was_written(self, logs, push, name, now):
        texts = [text for text in HOSTILE if text.strip()]
        push({"container": name}, [(now + timedelta(milliseconds=i), text) for i, text in enumerate(texts)])
        found = await logs.lines({"container": name}, self.window(now), limit=100, timeout_s=10)
        assert [line.text for line in found.lines] == texts

    @pytest.mark.parametrize("value", HOSTILE)
    async def test_any_label_value_selects_its_stream_and_no_other(self, logs, push, name, now, value):
        assert is_quotable(value)
        mine = f"{name}{value}"
        push({"container": name}, [(now, "of the plain name")])
        stored = self.stores(mine)
        if stored:
            push({"container": mine}, [(now, "mine")])
        found = await logs.lines({"container": mine}, self.window(now), limit=10, timeout_s=10)
        assert [line.text for line in found.lines] == (["mine"] if stored else [])

    def stores(self, value: str) -> bool:
        """Say whether this server takes a stream of such a label value at all."""
        return True

    async def test_existing_labels_are_told(self, logs, push, name, now):
        push({"container": name, "compose_service": "x"}, [(now, "one")])
        assert await logs.label_names(self.window(now), timeout_s=10) >= {"container", "compose_service"}

    async def test_a_window_that_the_server_refuses_is_a_refusal_with_its_words(self, logs, name, now):
        window = Window(start=now - timedelta(days=90), end=now)
        with pytest.raises(QueryRefused, match="range exceeds the limit") as refused:
            await logs.lines({"container": name}, window, limit=10, timeout_s=10)
        assert refused.value.status == 400
        assert not refused.value.retryable

    async def test_a_selector_without_a_label_is_refused_before_it_is_sent(self, logs, now):
        with pytest.raises(QueryRefused, match="needs a label"):
            await logs.lines({"container": ""}, self.window(now), limit=10, timeout_s=10)

    async def test_health_says_up(self, logs):
        health = await logs.health()
        assert (health.status, health.cure) == ("up", "")

    async def test_an_answer_over_the_byte_cap_gives_the_newest_lines_and_says_so(self, url, push, name, now):
        push({"container": name}, [(now + timedelta(milliseconds=i), f"{i:03d} " + "x" * 500) for i in range(400)])
        adapter = LokiLogs(LokiSettings(url=url, max_response_bytes=60_000))
        found = await adapter.lines({"container": name}, self.window(now), limit=400, timeout_s=10)
        await adapter.aclose()
        assert found.lines[-1].text.startswith("399 ")
        assert 10 <= len(found.lines) < 400
        assert found.partial
        assert "60000 bytes" in found.notes[0]
