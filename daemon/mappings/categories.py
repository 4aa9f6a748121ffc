"""Vitec's categories and Propstreet's tags (section 4 of the mapping rules)."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from daemon.domain.fields import Value
from daemon.mappings.lens import Hold, Options


class Category(Struct, frozen=True, rename="camel"):
    """A category on a Vitec record. A read-only one is set by the system (T6)."""

    id: str | int
    name: str | None = None
    read_only: bool | None = None


class Change(Struct, frozen=True):
    """What makes a record's categories say the wanted tags.

    `assign` is the full list of ids to send, None when none is added (T4); `remove` the ids to DELETE (T5).
    """

    assign: tuple[str, ...] | None = None
    remove: tuple[str, ...] = ()
    hold: Hold | None = None


def tags_of(present: Iterable[Category], table: Mapping[str, str]) -> tuple[str, ...]:
    """Give the tags that a record's categories map to, sorted; an unmapped category maps to nothing (T3)."""
    return tuple(sorted({tag for category in present if (tag := _tag(category, table)) is not None}))


def tags_problem(
    want: Sequence[str], present: Sequence[str], table: Mapping[str, str], kind: str, options: Options
) -> Hold | None:
    """Tell which tag cannot be assigned or taken away at Vitec, as far as the list of categories tells."""
    for tag in want:
        if tag not in present and isinstance(found := _write_category(tag, table, kind, options), Hold):
            return found
    for tag in present:
        if tag not in want and _all_read_only(tag, table, kind, options):
            return _read_only(tag)
    return None


def change(
    want: Sequence[str], present: Sequence[Category], table: Mapping[str, str], kind: str, options: Options
) -> Change:
    """Decide what to assign and what to remove. Several categories of one tag all go with it (T5, T10)."""
    assign: list[str] = []
    for wanted in want:
        if not any(_tag(category, table) == wanted for category in present):
            found = _write_category(wanted, table, kind, options)
            if isinstance(found, Hold):
                return Change(hold=found)
            assign.append(found)
    locked = {key for key, _, read_only, _ in options.catalogue if read_only}
    remove: list[str] = []
    for category in present:
        tag = _tag(category, table)
        if tag is None or tag in want:
            continue
        if category.read_only or str(category.id) in locked:
            return Change(hold=_read_only(tag))
        remove.append(str(category.id))
    if not assign:
        return Change(None, tuple(remove))
    stay = [str(c.id) for c in present if not c.read_only and str(c.id) not in (*remove, *locked)]
    return Change(tuple(dict.fromkeys([*stay, *assign])), tuple(remove))


def tags_put(want: Value, present: Sequence[str], table: Mapping[str, str]) -> list[str]:
    """Give Propstreet's whole list: tags that the table does not name are left as they are (T2, T8)."""
    mapped = set(table.values())
    wanted = want if isinstance(want, tuple) else ()
    return [*(t for t in present if t not in mapped or t in wanted), *(t for t in wanted if t not in present)]


def mapped_tags(present: Iterable[str], table: Mapping[str, str]) -> tuple[str, ...]:
    """Give the tags that the table names, sorted: the others belong to Propstreet (T8)."""
    return tuple(sorted(set(present) & set(table.values())))


def _tag(category: Category, table: Mapping[str, str]) -> str | None:
    return table.get(str(category.id)) or table.get(category.name or "")


def _known(tag: str, table: Mapping[str, str], kind: str, options: Options) -> list[tuple[str, bool]]:
    """(id, read only) of Vitec's categories that map to a tag, in the table's order. Ids go before names."""
    found = []
    for key in (key for key, mapped in table.items() if mapped == tag):
        entries = [entry for entry in options.catalogue if entry[3] == kind and key in entry[:2]]
        entries.sort(key=lambda entry: entry[0] != key)
        found += [(entry[0], entry[2]) for entry in entries[:1]]
    return found


def _write_category(tag: str, table: Mapping[str, str], kind: str, options: Options) -> str | Hold:
    """The first category of the table that may be assigned (T4, T6)."""
    known = _known(tag, table, kind, options)
    for category, read_only in known:
        if not read_only:
            return category
    if known:
        return _read_only(tag)
    return Hold(
        "tags", "unknown_category", "no category of Vitec's list stands for this tag; look at sync.categories"
    )


def _all_read_only(tag: str, table: Mapping[str, str], kind: str, options: Options) -> bool:
    known = _known(tag, table, kind, options)
    named = sum(mapped == tag for mapped in table.values())
    return bool(known) and len(known) == named and all(read_only for _, read_only in known)


def _read_only(tag: str) -> Hold:
    return Hold(
        "tags",
        "not_writable",
        f"Vitec sets the category of the tag {tag!r} by itself; it cannot be assigned or removed",
    )
