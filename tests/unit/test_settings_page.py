"""docs/settings.md says what the settings' classes say: each setting once, with its default."""

import re

import pytest

from settings_page import PAGE, page, said
from sreops.setting_names import PREFIX, group_of, setting_names
from sreops.settings import Settings


def test_the_page_is_the_classes_own() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run scripts/settings, and commit docs/settings.md"


def test_each_setting_stands_there_once() -> None:
    listed = re.findall(rf"^\| `({PREFIX}\w+)` \|", page(), re.M)
    groups = {f"{PREFIX}{name.upper()}" for name, info in Settings.model_fields.items() if group_of(info.annotation)}
    alias = {f"{PREFIX}ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"}
    assert sorted(listed) == sorted(set(setting_names(Settings)) - groups - alias)


@pytest.mark.parametrize("secret", ["**", "SecretStr", "PydanticUndefined", "None", "Path("])
def test_the_page_holds_values_and_not_python(secret: str) -> None:
    assert secret not in page()


def test_what_a_comment_or_a_docstring_says_is_taken() -> None:
    assert said(Settings)["dry_run"] == "decide everything, touch nothing"
