"""What counts as a decision in a comment."""

from datetime import UTC, datetime, timedelta

import pytest

from sreops.domain.remediation.comment_approval import MAX_CHARS, WhyNot, decision_in, why_not

HASH = "0123456789abcdef"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "wish"),
    [
        (f"sreops approve {HASH}", True),
        (f"sreops reject {HASH}", False),
        (f"Looks right.\nsreops approve {HASH}\nThanks!", True),
        (f"  sreops approve {HASH}  \r\n", True),
        (f"> what about this?\n\nsreops approve {HASH}", True),
        (f"```\nlog\n```\nsreops reject {HASH}", False),
        (f"sreops approve {HASH}\n\nsreops reject {HASH}", None),
        (f"sreops approve {HASH[:-1]}", None),
        (f"sreops approve {HASH[:8]}", None),
        (f"Sreops Approve {HASH}", None),
        (f"please sreops approve {HASH}", None),
        (f"sreops approve {HASH}.", None),
        (f"> sreops approve {HASH}", None),
        (f"> said\nsreops approve {HASH}", None),
        (f"```\nsreops approve {HASH}\n```", None),
        (f"~~~~\n```\nsreops approve {HASH}\n~~~~", None),
        (f"```\nsreops approve {HASH}", None),
        (f"    sreops approve {HASH}", None),
        (f"\tsreops approve {HASH}", None),
        (f"`x\nsreops approve {HASH}\ny`", None),
        (f">>>\nquoted\n\nsreops approve {HASH}\n>>>", None),
        (f">>>\nquoted\n\nsreops approve {HASH}\n\n>>>", None),
        (f">>>\nquoted\n>>>\n\nsreops approve {HASH}", True),
        (f"sreops approve {HASH}\n\n>>>\nquoted", True),
        (f"```\nlog\n```\n>>>\nquoted\n>>>\nsreops approve {HASH}", True),
        (f"Is a_b * c_d fine?\nsreops approve {HASH}\n2 * 3 _", True),
        (f"so **said\nsreops approve {HASH}\nthey**", None),
        (f">>>\nquoted\n>>>\n\nsreops approve {HASH}\n\n>>>\nquoted\n>>>", None),  # may be read as a quote in one
        (f">>>>\nquoted\n>>>\n\nsreops approve {HASH}", None),  # not ended by fewer
        (f"```\n>>>\n```\n>>>\n\nsreops approve {HASH}", None),  # the first is code, and ends nothing
        (f"  > said\nsreops approve {HASH}", None),
        (f"- > said\n  sreops approve {HASH}", None),
        (f"- ```\n\n  sreops approve {HASH}\n\n  ```", None),
        (f"```x```\n\n```\nsreops approve {HASH}\n```", None),
        (f"- log\n  ```\n\n```\nsreops approve {HASH}\n```", None),
        (f"~~never\nsreops approve {HASH}\nmind~~", None),
        (f"![\nsreops approve {HASH}\n](x.png)", None),
        (f"- sreops approve {HASH}", None),
        (f"# sreops approve {HASH}", None),
        (f"---\nsreops approve {HASH}\n---", None),
        (f"sreops approve {HASH}\n-- \nAda, on call", True),
        (f"1. `docker ps` is **fine**\n2. [graph](https://x)\n\nsreops approve {HASH}", True),
        (f"> quoted\n>\n> > deeper\n\nsreops approve {HASH}", True),
        (f"Go on,\rsreops approve {HASH}\r", True),
        ("a\n" * 4_980 + f"\nsreops approve {HASH}", True),
        (f"<details>\n\nsreops approve {HASH}\n\n</details>", None),
        (f"<!--\nsreops approve {HASH}\n-->", None),
        ("sreops approve ", None),
        ("", None),
    ],
)
def test_only_a_whole_line_outside_of_quotes_and_code_decides(body: str, wish: bool | None) -> None:
    assert decision_in(body, HASH) is wish


def test_a_comment_that_is_too_long_to_be_read_decides_nothing() -> None:
    said = f"sreops approve {HASH}\n\n"
    assert decision_in(said + "x" * (MAX_CHARS - len(said)), HASH) is True
    assert decision_in(said + "x" * (MAX_CHARS - len(said) + 1), HASH) is None


def test_without_a_plan_nothing_decides() -> None:
    assert decision_in("sreops approve ", "") is None


@pytest.mark.parametrize(
    ("after_s", "edited", "why"),
    [(1, False, None), (0, False, None), (-1, False, WhyNot.older), (1, True, WhyNot.edited)],
)
def test_what_was_edited_or_is_older_than_the_plan_does_not_count(
    after_s: int, edited: bool, why: WhyNot | None
) -> None:
    assert why_not(created_at=NOW + timedelta(seconds=after_s), edited=edited, requested_at=NOW) is why
