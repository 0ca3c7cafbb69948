"""The hand-over as the page's structure, and what a model took in words."""

from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.records.handover import fenced
from sreops.web.account import MAX_CHARS, Block, blocks
from sreops.web.model_usage import usage_of


def test_the_forms_of_a_hand_over_are_read() -> None:
    text = "\n".join(
        [
            "## Escalated: x",
            "",
            "why so",
            "### Cause",
            fenced("a\n```\nb"),
            "- confidence `0.9`, **E2** by rules",
            "- b",
        ]
    )
    assert blocks(text) == [
        Block("heading", [[("text", "Escalated: x")]], 2),
        Block("paragraph", [[("text", "why so")]]),
        Block("heading", [[("text", "Cause")]], 3),
        Block("code", [[("text", "a\n```\nb")]]),
        Block(
            "items",
            [
                [("text", "confidence "), ("code", "0.9"), ("text", ", "), ("strong", "E2"), ("text", " by rules")],
                [("text", "b")],
            ],
        ),
    ]  # fmt: skip


def test_an_open_fence_ends_with_the_text_and_no_link_or_markup_is_a_form() -> None:
    assert blocks("```\n# no heading") == [Block("code", [[("text", "# no heading")]])]
    for text in ("[a](javascript:x)", "![a](http://x)", "<script>", "<!-- x -->", "###### deep", "1. one", "> quoted"):
        assert blocks(text) == [Block("paragraph", [[("text", text)]])]


@given(st.text(max_size=400) | st.text("`*-# \n~a", max_size=200))
def test_nothing_of_any_text_is_lost_or_made_up_but_the_marks(text: str) -> None:
    shown = "".join(part for block in blocks(text) for row in block.rows for _, part in row)
    rest = iter(text)
    assert all(char in rest for char in shown)
    lost = len(
        [char for char in text if char not in "`*-# \n\r\t\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0" and not char.isspace()]
    )
    kept = len([char for char in shown if char not in "`*-# \n\r\t" and not char.isspace()])
    assert kept == lost


def test_a_hand_over_of_any_length_is_bounded() -> None:
    assert sum(len(part) for block in blocks("- a\n" * 10**6) for row in block.rows for _, part in row) <= MAX_CHARS


def test_what_a_model_took_is_told_in_words() -> None:
    used = {
        "model": "claude-sonnet-5-5", "calls": 2, "failed_calls": 1, "input_tokens": 12000, "output_tokens": 800,
        "cache_read_tokens": 9000, "cache_write_tokens": 1000, "usd": 0.0314, "seconds": 9.5,
    }  # fmt: skip
    shown = usage_of(used, {"claimed": 0.9, "taken_down": ["why"]})
    assert shown is not None
    assert (shown.cost, shown.calls, shown.tokens) == ("$0.0314", "2, 1 of them failed", "12,000 in, 800 out")
    assert shown.cached == "9,000 tokens read (75% of what went in), 1,000 written"
    assert (shown.latency, shown.claimed, shown.taken_down) == ("9.5 s, 4.8 s a call", "0.90", ["why"])
    assert usage_of({}, {}) is None
    odd = usage_of({"calls": 1, "usd": "x", "seconds": None, "input_tokens": float("nan")}, {"taken_down": "x"})
    assert odd is not None
    assert (odd.cost, odd.tokens, odd.cached) == ("$0.0000", "0 in, 0 out", "")
