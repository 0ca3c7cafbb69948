"""Spans of time in words."""


def span(seconds: float) -> str:
    """Return a span for people: seconds below two minutes, else whole minutes."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
