"""The vendor's error form, `application/problem+json` (guide errors-retries)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web


class Problem(Exception):
    """A request the twin refuses; `errors` maps each refused field to its messages."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        kind: str = "https://tools.ietf.org/html/rfc7807",
    ) -> None:
        super().__init__(f"{status}: {detail}" + (f" ({', '.join(errors)})" if errors else ""))
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.kind = kind

    def response(self, path: str = "") -> web.Response:
        """The problem as an answer; `path` is the request's."""
        body: dict[str, Any] = {
            "type": self.kind,
            "title": "Validation Error" if self.errors else HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if path:
            body["instance"] = path
        if self.errors:
            body["errors"] = self.errors
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(body),
            content_type="application/problem+json",
            headers=self.headers,
        )


def invalid(**errors: str) -> Problem:
    """A 400 that names the refused fields."""
    return Problem(400, "One or more fields are not valid", errors={k: [v] for k, v in errors.items()})


def not_found() -> Problem:
    """A 404; the vendor says the same for "not there" and "no access"."""
    return Problem(404, "The resource was not found")
