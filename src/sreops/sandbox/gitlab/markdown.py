"""What GitLab reads out of Markdown: which lines may be quick actions, who is mentioned, how it looks.

The rule for quick actions is that of `lib/gitlab/quick_actions/extractor.rb`: render the text, take the lines
of its top-level paragraphs, and look there for lines that begin with a slash and a known name. What GitLab
does with multi-line quotes (`>>>`) differs by release (a Ruby filter before 17, comrak since), so both
readings are taken and a line counts if either would run it: what passes here passes both.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_QUOTE_FENCE = re.compile(r"^ {0,3}(>{3,})[ \t]*$")
_MENTION = re.compile(r"(?<![\w@])@([A-Za-z0-9_](?:[A-Za-z0-9_.\-/]*[A-Za-z0-9_\-])?)")
_UNREFERENCED = frozenset({"a", "code", "pre", "script", "style", "tt"})


def _text_special(self: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    content = tokens[index].content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # GitLab keeps an escaped character apart, so `\@root` is no mention; an entity it decodes: `&#64;root` is.
    return f"<span>{content}</span>" if tokens[index].info == "escape" else content


def _parser(*, html: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": html}).enable("table")
    parser.disable("text_join")
    parser.add_render_rule("text_special", _text_special)
    return parser


_REFERENCES = _parser(html=True)
_PAGE = _parser(html=False)


def command_lines(text: str) -> list[int]:
    """Return the numbers (from 0) of lines that stand in a top-level paragraph and begin with a slash."""
    lines = text.split("\n")
    numbers = set(_with_block_quotes(lines)) | set(_with_toggled_quotes(lines))
    return sorted(number for number in numbers if lines[number].startswith("/"))


def mentions(text: str, *, is_title: bool = False) -> list[str]:
    """Return the names mentioned; a title is not Markdown, so there backticks protect nobody."""
    if is_title:
        return _MENTION.findall(text)
    reader = _TextReader()
    reader.feed(_REFERENCES.render(text))
    reader.close()
    # Joined by what no name contains, so that an element boundary never makes or extends a name.
    return _MENTION.findall("\x00".join(reader.texts))


def render(text: str) -> str:
    """Return safe HTML of a description or note: raw HTML in it is shown, not obeyed."""
    return str(_PAGE.render(text))


def _paragraph_lines(lines: list[str], offset: int, tokens: list[Token]) -> Iterator[int]:
    for token in tokens:
        if token.type == "paragraph_open" and token.level == 0 and token.map:
            yield from range(offset + token.map[0], offset + token.map[1])


def _with_block_quotes(lines: list[str]) -> Iterator[int]:
    """As comrak: a `>>>` line where a block may begin opens a quote, which its like closes wherever it stands.

    So a quote's end also ends a fenced block that was opened inside it.
    """
    start = 0
    while start < len(lines):
        tokens = _REFERENCES.parse("\n".join(lines[start:]))
        opening = _first_quote_fence(lines, start, tokens)
        before = [token for token in tokens if token.map and (opening is None or start + token.map[0] < opening)]
        yield from (number for number in _paragraph_lines(lines, start, before) if opening is None or number < opening)
        if opening is None:
            return
        closing = _closing_fence(lines, opening)
        if closing is None:
            return
        start = closing + 1


def _first_quote_fence(lines: list[str], start: int, tokens: list[Token]) -> int | None:
    for token in tokens:
        if token.type != "blockquote_open" or token.level or not token.map:
            continue
        number = start + token.map[0]
        if _QUOTE_FENCE.match(lines[number]):
            return number
    return None


def _closing_fence(lines: list[str], opening: int) -> int | None:
    opened = _QUOTE_FENCE.match(lines[opening])
    width = len(opened.group(1)) if opened else 3
    for number in range(opening + 1, len(lines)):
        fence = _QUOTE_FENCE.match(lines[number])
        if fence and len(fence.group(1)) >= width:
            return number
    return None


def _with_toggled_quotes(lines: list[str]) -> Iterator[int]:
    """As older releases: every `>>>` line opens or closes a quote, also one inside a fenced block."""
    quoted = False
    start = 0
    for number in [*(place for place, line in enumerate(lines) if _QUOTE_FENCE.match(line)), len(lines)]:
        if not quoted:
            yield from _paragraph_lines(lines, start, _REFERENCES.parse("\n".join(lines[start:number])))
        quoted = not quoted
        start = number + 1


class _TextReader(HTMLParser):
    """Collects the text in which GitLab looks for references: not that of code and links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self._protected: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNREFERENCED:
            self._protected.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._protected:
            self._protected.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._protected:
            self.texts.append(data)
