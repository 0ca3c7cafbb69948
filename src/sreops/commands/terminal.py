"""The commands' voice: text from outside is spelled out where a terminal would obey it."""

from rich.console import Console
from rich.text import Text

from sreops.domain.text.printable import printable


class Terminal:
    """Standard output; ``console`` is rich's own, for tables whose cells went through ``shown``."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """Print one line, without markup; a line break in it is spelled out like every other control character."""
        self.console.print(shown(line))

    def block(self, text: str) -> None:
        """Print lines of text, without markup."""
        self.console.print(shown(text, kept="\n\t"))

    def title(self, text: str) -> None:
        """Print a rule with a title."""
        self.console.rule(shown(text))


def complaints() -> Terminal:
    """Return standard error, for what is wrong beside what is asked for."""
    return Terminal(Console(stderr=True, highlight=False, soft_wrap=True))


def shown(text: str, *, kept: str = "") -> Text:
    """Return text for a table's cell or a line: no markup, no control characters but those ``kept``."""
    return Text(printable(text, kept=kept))
