"""What a terminal would obey is spelled out; what people write stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.text.printable import printable
from sreops.domain.text.urls import without_userinfo, without_userinfo_in


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    assert printable(text).isprintable()
    assert all(one.isprintable() or one == "\n" for one in printable(text, kept="\n"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("höflich 漢字 [bold]", "höflich 漢字 [bold]"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb", r"a\x0ab"),
        ("\u202e", r"\u202e"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_each_character_is_spelled_by_its_number(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:p@ss@h:3100/x?token=1#y", "http://h:3100/x"),
        ("https://h", "https://h"),
        ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
        ("http://[::1", "(a URL that cannot be read)"),
    ],
)
def test_an_address_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert without_userinfo(url) == shown


def test_what_a_library_says_of_an_address_loses_its_credentials() -> None:
    said = "Client error '401' for url 'http://user:swordfish@h/mcp' and https://h2/x@y"
    assert without_userinfo_in(said) == "Client error '401' for url 'http://h/mcp' and https://h2/x@y"
