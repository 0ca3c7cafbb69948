"""The API's errors: `{"type":"error","error":{"type","message"},"request_id"}`."""

from collections.abc import Mapping

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_type(status: int) -> str:
    """Return the error type that goes with a status."""
    return TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


class ApiRefusal(Exception):
    """A request that is answered with an error."""

    def __init__(
        self, status: int, message: str, type_: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type_ or error_type(status)
        self.headers = dict(headers or {})


class BadRequest(ApiRefusal):
    """Status 400: the request is wrong, and will be wrong again."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)
