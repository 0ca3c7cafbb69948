"""What a model took for an incident, as the page says it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sreops.web.words import finite, list_in, text_in


@dataclass(frozen=True)
class Usage:
    """What a model took for the incident, in a reader's words; ``taken_down`` is why its confidence was lowered."""

    model: str
    cost: str
    calls: str
    tokens: str
    cached: str
    latency: str
    claimed: str
    taken_down: Sequence[str]


def usage_of(used: Mapping[str, Any], confidence: Mapping[str, Any]) -> Usage | None:
    """Return what was taken; None where no model was asked.

    ``used`` and ``confidence`` are the incident's, as the store holds them; its input tokens are all of the prompt,
    those read from the cache and written to it too.
    """
    calls = finite(used.get("calls"))
    if not calls:
        return None

    def number(name: str) -> float:
        return finite(used.get(name)) or 0.0

    failed, seconds, claimed = number("failed_calls"), number("seconds"), finite(confidence.get("claimed"))
    read, wrote, prompt = number("cache_read_tokens"), number("cache_write_tokens"), number("input_tokens")
    whole = max(prompt, read + wrote)
    return Usage(
        model=text_in(used, "model"),
        cost=f"${number('usd'):.4f}",
        calls=f"{calls:.0f}" + (f", {failed:.0f} of them failed" if failed else ""),
        tokens=f"{whole:,.0f} in, {number('output_tokens'):,.0f} out",
        cached=f"{read:,.0f} tokens read ({read / whole:.0%} of what went in), {wrote:,.0f} written" if whole else "",
        latency=f"{seconds:.1f} s" + (f", {seconds / calls:.1f} s a call" if calls > 1 else ""),
        claimed=f"{claimed:.2f}" if claimed is not None else "",
        taken_down=[str(reason) for reason in list_in(confidence, "taken_down")],
    )
