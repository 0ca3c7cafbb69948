"""Quantities in words: a value with its unit as people write it, never with an exponent."""


def quantity(value: float, unit: str) -> str:
    """Write a value with its unit for people: ``498 MB``, ``12 %``, ``230 ms``."""
    size = abs(value)
    if unit == "bytes":
        for factor, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if size >= 0.9995 * factor:  # what would be rounded to 1000 of the smaller unit is 1 of this one
                return f"{_plain(value / factor, 3)} {name}"
        return f"{value:.0f} B"
    if unit == "ratio":
        return f"{_plain(value * 100, 3)} %"
    if unit == "s":
        if size >= 120:
            return _long(value)
        return f"{_plain(value * 1000, 3)} ms" if 0 < size < 0.9995 else f"{_plain(value, 3)} s"
    if unit == "bool":
        return f"{value:g}"
    suffix = {"cores": " cores", "req/s": " req/s", "/s": "/s"}.get(unit, "")
    return f"{_plain(value, 3)}{suffix}"


def _plain(value: float, digits: int) -> str:
    """Write a number as people do, without an exponent."""
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return text
    return f"{value:.0f}" if abs(value) >= 1 else f"{value:.6f}".rstrip("0").rstrip(".")


def _long(seconds: float) -> str:
    size = abs(seconds)
    if size >= 172_800:
        return f"{seconds / 86_400:.0f} days"
    return f"{seconds / 3600:.1f} h" if size >= 7200 else f"{seconds / 60:.0f} min"
