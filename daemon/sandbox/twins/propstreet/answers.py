"""What all routes share: the query of a list, the envelope of a page, numbers as text."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from daemon.sandbox.twins.propstreet.problems import invalid
from daemon.sandbox.twins.propstreet.webhooks import utc

BASE = "/api/v1"


class Paging(TypedDict):
    """Which page of a list is asked for; `since` is aware UTC and inclusive."""

    size: int
    cursor: str | None
    since: datetime | None
    deleted: bool


def paging(query: Mapping[str, str]) -> Paging:
    """The query of a list; raises Problem (400) that names a bad parameter."""
    try:
        since = utc(query["updated_since"]) if "updated_since" in query else None
    except ValueError:
        raise invalid(updated_since="The updated_since parameter is not an ISO 8601 time.") from None
    return {
        "size": page_size(query),
        "cursor": query.get("cursor"),
        "since": since,
        "deleted": flag(query, "include_deleted", default=False),
    }


def page_size(query: Mapping[str, str], default: int = 500) -> int:
    """How many rows a page may have, 1 to 500."""
    size = query.get("page_size", str(default))
    if not (size.isascii() and size.isdigit() and 1 <= int(size) <= 500):
        raise invalid(page_size="The page_size parameter must be between 1 and 500.")
    return int(size)


def flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    """A parameter that is true or false."""
    value = query.get(name, str(default)).lower()
    if value not in ("true", "false"):
        raise invalid(**{name: f"The {name} parameter must be true or false."})
    return value == "true"


def paged(rows: list[dict[str, Any]], cursor: str | None, size: int, where: str) -> dict[str, Any]:
    """The envelope of a page (PS9)."""
    page = {"nextCursor": cursor, "pageSize": size, "hasMore": cursor is not None}
    return {"data": rows, **page} if where == "top" else {"data": rows, "page": page}


def numbers_as_text(body: Any) -> Any:
    """The same JSON with every whole number as text (models; PS10)."""
    match body:
        case bool():
            return body
        case int():
            return str(body)
        case dict():
            return {name: numbers_as_text(value) for name, value in body.items()}
        case list():
            return [numbers_as_text(value) for value in body]
        case _:
            return body
