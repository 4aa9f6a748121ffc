"""Propstreet's external references: a namespace without regard to case, an id with (C10, B2, B7)."""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class Reference(Struct, frozen=True):
    """One external reference, as Propstreet's ExternalRef has it."""

    namespace: str
    id: str | int


def referenced(present: Iterable[Reference], namespace: str) -> str | None:
    """Give the id that a record has in a namespace, or None; a blank one is none.

    There is one per namespace; where a vendor adds a new one to the old (PS19), the last counts.
    """
    wanted = namespace.casefold()
    ids = [str(ref.id) for ref in present if ref.namespace.casefold() == wanted]
    return next((key for key in reversed(ids) if key.strip()), None)


def references_put(present: Iterable[Reference], wanted: Mapping[str, str | None]) -> list[dict[str, object]]:
    """Give the whole list (a PATCH may replace it): other namespaces stay, None takes a namespace away."""
    named = {namespace.casefold() for namespace in wanted}
    others = [ref for ref in present if ref.namespace.casefold() not in named]
    ours = [Reference(namespace, key) for namespace, key in wanted.items() if key is not None]
    return [{"namespace": ref.namespace, "id": ref.id} for ref in (*others, *ours)]
