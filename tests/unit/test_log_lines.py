"""What a log line shows of hostile text: nothing that a terminal obeys, and no line that it wrote itself."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from sreops.telemetry import configure_logging, log


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, kept = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**kept)


HOSTILE = "x\x1b]52;c;cm0=\x07\x1b[2J\u202e\r\n2026-11-23T03:05:00Z [info] remediation.approved user=root"


@pytest.mark.parametrize("fmt", ["text", "json"])
@pytest.mark.parametrize("where", ["value", "bare value", "foreign message", "exception"])
def test_hostile_text_neither_moves_the_cursor_nor_makes_a_line(
    fmt: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", fmt)
    if where == "value":
        log.warning("tests.happened", error=HOSTILE)
    elif where == "bare value":
        log.warning("tests.happened", tool="x\x1b]0;t\x07\x9b31m")
    elif where == "foreign message":
        logging.getLogger("tests").warning("said %s", HOSTILE)
    else:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("tests.failed")
    shown = capsys.readouterr().err
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(shown)
    if where != "exception" or fmt == "json":
        assert shown.count("\n") == 1
    else:
        assert not any(line.startswith("2026-11-23T03:05:00Z") for line in shown.splitlines())
