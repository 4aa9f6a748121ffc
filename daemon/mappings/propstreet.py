"""What Propstreet's resources have in common: the frame and external references; tags of contacts and companies."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeVar

from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import Value
from daemon.domain.times import vendor_time
from daemon.mappings.categories import mapped_tags, tags_put
from daemon.mappings.lens import RECORD, REFERENCE, Content, Hold, Lens, Options, Patch, Seen, Text, carried
from daemon.mappings.references import Reference, referenced, references_put

MOST_TAGS = 100
"""T9."""


REMOVED = "removed"
"""The flag of a record that is gone at Propstreet but still says something (H10, H14)."""


class Resource(Struct, frozen=True, rename="camel"):
    """The part of a payload that every resource has, as far as it is mapped."""

    id: str | int
    external_refs: tuple[Reference, ...] | UnsetType | None = UNSET
    created_utc: str | None = None
    updated_utc: str | None = None
    deleted_utc: str | None = None
    etag: str | None = None


class Party(Resource, frozen=True, rename="camel"):
    """What contacts and companies have besides."""

    tags: tuple[str, ...] | UnsetType | None = UNSET
    strategy: Text = UNSET


R = TypeVar("R", bound=Resource)
P = TypeVar("P", bound=Party)


class PropstreetLens(Lens[R]):
    """A mapping to or from Propstreet. A PATCH sets what it carries; null clears, lists are replaced."""

    vendor = "propstreet"
    pseudo: ClassVar[tuple[str, ...]] = (REFERENCE,)
    names: ClassVar[Mapping[str, str]]
    """Our field to Propstreet's, where the value is sent as it is."""

    @abstractmethod
    def read(self, record: R, options: Options) -> dict[str, Value]:
        """Give the fields that the payload carries."""

    def flags(self, record: R, options: Options) -> tuple[str, ...]:
        """Give what the operator should see about this record."""
        return ()

    def parts(self, record: R) -> dict[str, str]:
        """Give the records that this one joins, by category."""
        return {}

    def domain(self, record: R) -> str | None:
        """Give a company's domain, for match keys."""
        return None

    def labels(self, record: R) -> tuple[str, ...]:
        """Give every tag, mapped or not."""
        return ()

    def removed(self, record: R) -> bool:
        """Tell whether the record is gone at Propstreet."""
        return record.deleted_utc is not None

    def translate(self, record: R, options: Options) -> Content:
        """Read a decoded payload. A record that is gone but flagged as REMOVED is there, to say so."""
        references, flags = record.external_refs, self.flags(record, options)
        return Content(
            external_id=str(record.id),
            fields=self.read(record, options),
            changed=vendor_time(record.updated_utc),
            created=vendor_time(record.created_utc),
            etag=record.etag,
            removed=self.removed(record) and REMOVED not in flags,
            reference=UNSET
            if references is UNSET
            else referenced(references or (), options.reference_namespace),
            flags=flags,
            domain=self.domain(record),
            labels=self.labels(record),
            parts=self.parts(record),
        )

    def cannot_hold(self, want: Mapping[str, Value], seen: Seen | None, options: Options) -> tuple[Hold, ...]:
        """Hold the whole record when it is gone, else what the mapping holds."""
        if seen is None or REMOVED not in seen.flags:
            return super().cannot_hold(want, seen, options)
        if all(self._settled(field, value, seen, options) for field, value in want.items()):
            return ()
        detail = "it was removed at Propstreet; put it back there to have it written again"
        return (Hold(RECORD, "not_writable", detail),)

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Tell why Propstreet cannot take a value."""
        return None

    def body(self, field: str, value: Value) -> object:
        """Give the JSON of a value."""
        return value

    def write(
        self, due: Mapping[str, Value], record: R | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the body of a POST, PATCH or upsert: the fields that are due, lists whole."""
        body: dict[str, object] = {
            self.names[field]: self.body(field, due[field]) for field in due if field in self.names
        }
        wanted = _references_due(due, options)
        if record is not None and record.external_refs is UNSET:
            return Patch(body, holds=tuple(_unread(field) for field in due if field in _IN_REFERENCES))
        present = (record.external_refs or ()) if record else ()
        if any(referenced(present, namespace) != key for namespace, key in wanted.items()):
            body["externalRefs"] = references_put(present, wanted)
        return Patch(body)


class PartyLens(PropstreetLens[P]):
    """A mapping to or from Propstreet's contacts or companies, which have tags and a strategy."""

    @abstractmethod
    def texts(self, record: P) -> dict[str, Value]:
        """Give the plain texts of the category that the payload carries."""

    def labels(self, record: P) -> tuple[str, ...]:
        """Give every tag, mapped or not."""
        return record.tags or ()

    def read(self, record: P, options: Options) -> dict[str, Value]:
        """Give the texts, the organisation number, and what the settings say of tags and strategy."""
        fields = self.texts(record)
        if "organisation_number" in self.fields and record.external_refs is not UNSET:
            namespace = options.organisation_number_namespace
            fields["organisation_number"] = referenced(record.external_refs or (), namespace)
        if record.tags is not UNSET and (table := self.table(options)):
            fields["tags"] = mapped_tags(record.tags or (), table)
        if options.note in ("strategy", "keyword"):
            fields |= carried(strategy=record.strategy)
        return fields

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Tell why Propstreet cannot take a value."""
        if field == "tags" and value and len(value) > MOST_TAGS:
            return _too_many(len(value))
        return None

    def write(
        self, due: Mapping[str, Value], record: P | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the body, with the whole list of tags."""
        patch = super().write(due, record, options, identity)
        if "tags" not in due:
            return patch
        if record is not None and record.tags is UNSET:
            return Patch(patch.body, holds=(*patch.holds, _unread("tags")))
        tags = tags_put(due["tags"], (record.tags or ()) if record else (), self.table(options))
        if len(tags) > MOST_TAGS:
            return Patch(patch.body, holds=(*patch.holds, _too_many(len(tags))))
        return Patch(patch.body | {"tags": tags}, holds=patch.holds)


_IN_REFERENCES = ("organisation_number", REFERENCE)


def _references_due(due: Mapping[str, Value], options: Options) -> dict[str, str | None]:
    """Namespace to id, None to take it away, for the fields that live among the external references."""
    namespaces = {
        "organisation_number": options.organisation_number_namespace,
        REFERENCE: options.reference_namespace,
    }
    return {
        namespaces[field]: value if isinstance(value, str) else None
        for field, value in due.items()
        if field in namespaces
    }


def _unread(field: str) -> Hold:
    return Hold(field, "unread", "the payload at hand does not carry the present list; read the record first")


def _too_many(count: int) -> Hold:
    return Hold(
        "tags", "too_many", f"Propstreet takes {MOST_TAGS} tags and there would be {count}; remove some"
    )
