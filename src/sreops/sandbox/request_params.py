"""The parameters of a request, wherever it has them: both Loki and Prometheus read the query string and a form."""

from collections.abc import Sequence

from starlette.requests import Request


class Params(dict[str, str]):
    """Parameters of the query string and of a form body, the form's first."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        super().__init__(reversed(list(pairs)))
        self._pairs = list(pairs)

    def getlist(self, name: str) -> list[str]:
        """Every value that was given for a name."""
        return [value for key, value in self._pairs if key == name]


async def read_params(request: Request) -> Params:
    """Read the parameters of a request, wherever it has them."""
    pairs: list[tuple[str, str]] = []
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if request.method == "POST" and kind == "application/x-www-form-urlencoded":
        pairs += [(key, str(value)) for key, value in (await request.form()).multi_items()]
    return Params(pairs + request.query_params.multi_items())
