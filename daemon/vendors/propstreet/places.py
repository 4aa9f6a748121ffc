"""Where Propstreet keeps the records of each category, as the template of a path and what fills it (endpoints)."""

from collections.abc import Mapping
from typing import Self

import msgspec

from daemon.vendors.http import Intent, Route

NETWORK = "/api/v1/network/{records}"


class Place(msgspec.Struct, frozen=True):
    """A path. The template goes into error texts and metrics, the segments hold the ids and never do."""

    template: str
    segments: Mapping[str, str] = {}

    def below(self, template: str, **segments: str) -> Self:
        """The place further down: `/{id}` of a list is a record."""
        return type(self)(self.template + template, {**self.segments, **segments})

    def route(self, method: str, intent: Intent = "read") -> Route:
        """The call on this place."""
        return Route(method, self.template, intent)


LISTS: Mapping[str, Place] = {
    "contact": Place(NETWORK, {"records": "contacts"}),
    "company": Place(NETWORK, {"records": "companies"}),
    "link": Place(NETWORK, {"records": "links"}),
    "project": Place("/api/v1/projects"),
    "prospect": Place("/api/v1/projects/{parent}/prospects"),
    "property": Place("/api/v1/properties"),
}

# The lookup by external reference is not documented for properties, and links have no references.
REFERENCED = frozenset({"contact", "company", "project", "prospect"})
# The fields of a project's note are not documented.
NOTED = frozenset({"contact", "company", "prospect"})


def list_of(category: str, parent: str | None) -> Place:
    """The list of a category; `parent` is the project of a prospect.

    Raises ValueError for a prospect without its project, a project with anything else, an unknown category.
    """
    if category not in LISTS:
        raise ValueError(f"Propstreet has no list for the category {category}")
    if (category == "prospect") != (parent is not None):
        raise ValueError("a prospect is named with its project, and nothing else is")
    place = LISTS[category]
    return place if parent is None else place.below("", parent=parent)


def record_of(category: str, external_id: str, parent: str | None) -> Place:
    """One record. Raises ValueError as `list_of`."""
    return list_of(category, parent).below("/{id}", id=external_id)


def reference_of(category: str, namespace: str, external_id: str, parent: str | None) -> Place:
    """A record by its external reference. Raises ValueError as `list_of`, and where there is no such lookup."""
    if category not in REFERENCED:
        raise ValueError(f"Propstreet finds no {category} by an external reference")
    below = "/external/{namespace}/{id}"
    return list_of(category, parent).below(below, namespace=namespace, id=external_id)


def noted_record_of(category: str, external_id: str, parent: str | None) -> Place:
    """A record that takes notes. Raises ValueError as `list_of`, and for a category without notes."""
    if category not in NOTED:
        raise ValueError(f"notes of a {category} are not documented")
    return record_of(category, external_id, parent)
