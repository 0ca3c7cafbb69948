"""An answer that ends the handling of a request early, whatever server gives it."""

from typing import Any


class Told(Exception):
    """Raised where a request is refused; the server answers with it."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
