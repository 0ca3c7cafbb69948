"""The documents hold together: links lead somewhere, decisions are listed, and the code cites what is here."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert [to for to in _LINK.findall(page.read_text()) if not (page.parent / to).exists()] == []


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_*]+\.py)`", text))
    assert len(named) > 20, "it names files as `folder/file.py`"
    assert [name for name in sorted(named) if not any((ROOT / "src" / "sreops").glob(name))] == []


def test_every_page_and_decision_is_in_its_index() -> None:
    for folder in (ROOT / "docs", ROOT / "docs" / "decisions"):
        index = (folder / "README.md").read_text()
        assert [
            one.name for one in folder.glob("*.md") if one.name != "README.md" and f"({one.name})" not in index
        ] == []


def test_decisions_are_numbered_once_and_holes_have_a_reason() -> None:
    numbers = sorted(int(one.name[:4]) for one in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert len(numbers) == len(set(numbers))
    told = (ROOT / "docs" / "decisions" / "README.md").read_text()
    holes = set(range(1, numbers[-1])) - set(numbers)
    assert [hole for hole in holes if not re.search(rf"\b{hole}\b(?=[^\n|]* never committed)", told)] == []


def test_the_code_cites_no_document_that_is_not_here() -> None:
    cited = re.compile(
        r"\b(?:design|style|house|lessons|reference)(?:\.md)? ?§|(?<![/\w])reference/[a-z-]+\.md|of the sheet\b"
        r"|`docs/([a-z/-]+\.md)"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("src", "tests", "bench", "deploy", "docs", "scripts")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".html", ".js", ".cfg", ".yaml") and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        for one in cited.finditer(line)
        if one[1] is None or not (ROOT / "docs" / one[1]).exists()
    ]
    assert found == []


def test_the_licence_is_here_and_the_version_is_in_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert f"\n## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_s_lines_fit() -> None:
    assert [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if len(line) > 120] == []
