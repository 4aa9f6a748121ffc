"""What Propstreet's contacts and companies have in common: the frame, tags and external references."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeVar

from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import Value
from daemon.domain.times import vendor_time
from daemon.mappings.categories import mapped_tags, tags_put
from daemon.mappings.lens import REFERENCE, Content, Hold, Lens, Options, Patch, Text, carried
from daemon.mappings.references import Reference, referenced, references_put

MOST_TAGS = 100
"""T9."""


class Resource(Struct, frozen=True, rename="camel"):
    """The part of a payload that every resource has, as far as it is mapped."""

    id: str | int
    external_refs: tuple[Reference, ...] | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType | None = UNSET
    strategy: Text = UNSET
    created_utc: str | None = None
    updated_utc: str | None = None
    deleted_utc: str | None = None
    etag: str | None = None


R = TypeVar("R", bound=Resource)


class PropstreetLens(Lens[R]):
    """A mapping to or from Propstreet. A PATCH sets what it carries; null clears, lists are replaced."""

    vendor = "propstreet"
    pseudo = (REFERENCE,)
    names: ClassVar[Mapping[str, str]]
    """Our field to Propstreet's, where the value is a plain text."""

    @abstractmethod
    def texts(self, record: R) -> dict[str, Value]:
        """Give the plain texts of the category that the payload carries."""

    def flags(self, record: R) -> tuple[str, ...]:
        """Give what the operator should see about this record."""
        return ()

    def domain(self, record: R) -> str | None:
        """Give a company's domain, for match keys."""
        return None

    def translate(self, record: R, options: Options) -> Content:
        """Read a decoded payload."""
        fields = self.texts(record)
        references = record.external_refs or ()
        if "organisation_number" in self.fields and record.external_refs is not UNSET:
            fields["organisation_number"] = referenced(references, options.organisation_number_namespace)
        if record.tags is not UNSET and (table := self.table(options)):
            fields["tags"] = mapped_tags(record.tags or (), table)
        if options.note in ("strategy", "keyword"):
            fields |= carried(strategy=record.strategy)
        return Content(
            external_id=str(record.id),
            fields=fields,
            changed=vendor_time(record.updated_utc),
            created=vendor_time(record.created_utc),
            etag=record.etag,
            removed=record.deleted_utc is not None,
            reference=UNSET
            if record.external_refs is UNSET
            else referenced(references, options.reference_namespace),
            flags=self.flags(record),
            domain=self.domain(record),
            labels=record.tags or (),
        )

    def check(
        self, field: str, value: Value, present: Mapping[str, Value] | None, options: Options
    ) -> Hold | None:
        """Tell why Propstreet cannot take a value."""
        if field == "tags" and value and len(value) > MOST_TAGS:
            return _too_many(len(value))
        return None

    def write(
        self, due: Mapping[str, Value], record: R | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the body of a POST, PATCH or upsert: the fields that are due, lists whole."""
        holds = [_unread(field) for field in due if record is not None and _lacks_list(field, record)]
        unread = {hold.field for hold in holds}
        body: dict[str, object] = {self.names[field]: due[field] for field in due if field in self.names}
        if "tags" in due and "tags" not in unread:
            tags = tags_put(due["tags"], (record.tags or ()) if record else (), self.table(options))
            if len(tags) > MOST_TAGS:
                holds.append(_too_many(len(tags)))
            else:
                body["tags"] = tags
        present = (record.external_refs or ()) if record else ()
        wanted = _references_due({field: due[field] for field in due if field not in unread}, options)
        if any(referenced(present, namespace) != key for namespace, key in wanted.items()):
            body["externalRefs"] = references_put(present, wanted)
        return Patch(body, holds=tuple(holds))


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


def _lacks_list(field: str, record: Resource) -> bool:
    """Whether a list that would be replaced whole is unknown: a webhook's payload may be thin."""
    match field:
        case "tags":
            return record.tags is UNSET
        case "organisation_number" | "reference":
            return record.external_refs is UNSET
    return False


def _unread(field: str) -> Hold:
    return Hold(field, "unread", "the payload at hand does not carry the present list; read the record first")


def _too_many(count: int) -> Hold:
    return Hold(
        "tags", "too_many", f"Propstreet takes {MOST_TAGS} tags and there would be {count}; remove some"
    )
