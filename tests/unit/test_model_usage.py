"""What a model took, in words."""

from sreops.web.model_usage import usage_of


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
