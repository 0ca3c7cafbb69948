"""Text for a terminal: what senders, logs and models wrote moves no cursor, colours nothing and hides nothing."""


def printable(text: str, *, kept: str = "") -> str:
    r"""Return the text with every character that is not printable spelled out (``\x1b``), but for those ``kept``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in kept else _spelled(ord(char)) for char in text)


def _spelled(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
