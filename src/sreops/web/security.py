"""Security headers on every response; pure ASGI, because wrappers that buffer would break the event stream."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline: hostile text that got through the escaping still could not run."""
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


_OF_ALL: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # not no-referrer: with it browsers send `Origin: null` with our own forms (Fetch, "serialize origin")
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_OF_PAGES: Final = ((b"content-security-policy", PAGE_POLICY.encode()), *_OF_ALL)
_OF_DATA: Final = ((b"content-security-policy", DATA_POLICY.encode()), *_OF_ALL)


class SecurityHeaders:
    """Middleware: adds what a response has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap ``send``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own: dict[bytes, bytes] = dict(message["headers"])  # names are in lower case there
                page = own.get(b"content-type", b"").startswith(b"text/html")
                added = [header for header in (_OF_PAGES if page else _OF_DATA) if header[0] not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, with_headers)
