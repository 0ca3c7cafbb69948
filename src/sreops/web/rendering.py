"""Templates and static files: read when this is imported, since nothing may read a disk on the event loop."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sreops.domain.incidents.needs import need_of
from sreops.domain.records.story import without_ids
from sreops.web import words

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"


def _read(folder: str) -> dict[str, bytes]:
    entries = [entry for entry in files("sreops.web").joinpath(folder).iterdir() if entry.is_file()]
    return {entry.name: entry.read_bytes() for entry in entries}


_STATIC: Final = {name: content for name, content in _read("static").items() if name.rpartition(".")[2] in _TYPES}
_TEMPLATES: Final = {name: content.decode() for name, content in _read("templates").items() if name.endswith(".html")}


class Assets:
    """The static files; a URL names the content's hash, so that a browser may keep what it has for ever."""

    def __init__(self) -> None:
        self._hashes = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in _STATIC.items()}

    def url(self, name: str) -> str:
        """Return the URL of a file that must exist."""
        return f"/static/{name}?v={self._hashes[name]}"

    async def answer(self, request: Request) -> Response:
        """Answer ``GET /static/{name}``."""
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404)
        current = request.query_params.get("v") == self._hashes[name]
        headers = {"Cache-Control": _FOREVER if current else "no-cache"}
        return Response(_STATIC[name], headers=headers, media_type=_TYPES[name.rpartition(".")[2]])


class Templates:
    """The templates, autoescaped: every value is text, whoever wrote it."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=DictLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals["asset"] = assets.url
        self._environment.filters |= {
            "words": words.words,
            "headline": without_ids,
            "span": words.span,
            "link": words.safe_link,
            "age": lambda then, now: words.span(words.seconds_between(then, now)),
            "clock": lambda at: at.strftime("%H:%M:%S"),
            "moment": lambda at: at.strftime("%Y-%m-%d %H:%M:%S"),
        }
        self._environment.tests["asking"] = lambda incident, now: need_of(incident, now) is not None
        for name in _TEMPLATES:
            self._environment.get_template(name)  # compiled now: a mistake is found at start

    def answer(
        self, template: str, status_code: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """Return the rendered page."""
        text = self._environment.get_template(template).render(values)
        # a lone surrogate from a hostile payload has no UTF-8
        return Response(text.encode("utf-8", "replace"), status_code, headers, media_type="text/html")
