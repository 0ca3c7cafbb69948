"""What counts as a decision in a comment."""

from datetime import UTC, datetime, timedelta

import pytest

from sreops.domain.remediation.comment_approval import WhyNot, decision_in, why_not

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
        (f"<details>\n\nsreops approve {HASH}\n\n</details>", None),
        (f"<!--\nsreops approve {HASH}\n-->", None),
        ("sreops approve ", None),
        ("", None),
    ],
)
def test_only_a_whole_line_outside_of_quotes_and_code_decides(body: str, wish: bool | None) -> None:
    assert decision_in(body, HASH) is wish


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
