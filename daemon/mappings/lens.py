"""What a mapping is: a lens between one vendor's JSON and our own fields.

`get` reads a payload into fields; `put` works wanted fields into the present payload and gives what has to
be sent. `get(put(f, v)) == f` where the vendor can hold f, and `put(get(v), v)` is nothing to send. What a
vendor cannot hold becomes a `Hold`: that field alone is left out, the others are written. The rules that
the ids name stand in docs/mapping-rules.md.
"""

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import UNMAPPED, Value, blank, e164, normal, same
from daemon.mappings.decoding import Payload, decoded

Text = str | UnsetType | None
"""A text of a payload: UNSET when the payload does not carry it (G5)."""

Reason = Literal[
    "too_long",
    "too_many",
    "not_writable",
    "cannot_clear",
    "invalid",
    "needs_channel",
    "needs_name",
    "other_number",
    "unknown_category",
    "unread",
    "unmapped",
    "protected",
]

RECORD = "*"
"""The field of a hold that concerns the whole record."""

REFERENCE = "reference"
"""The pseudo-field that asks for the other vendor's id among the external references (C10, B7)."""

REMOVED = "removed"
"""The pseudo-field that asks for the removal of the record (V8)."""

OUT_OF_SCOPE = frozenset(("deceased_estate", "association", "commission", "unknown_person"))
"""Flags of records that are recorded and not synced (C15, E11, R12)."""


class Options(Struct, frozen=True):
    """What a mapping depends on besides the payload: [tenants.sync] and Vitec's list of categories.

    `region` is where national phone numbers are read. `catalogue` holds Vitec's categories as
    (id, name, read_only, kind), kind being "Person" or "Company"; a category that it lacks is never assigned.
    """

    region: str = "SE"
    customer_id: str = ""
    reference_namespace: str = "vitec-next"
    organisation_number_namespace: str = "organization-number"
    note: Literal["strategy", "activity", "keyword", "off"] = "off"
    note_keywords: tuple[str, ...] = ()
    categories: dict[str, str] = {}
    company_categories: dict[str, str] = {}
    empty_country: Literal["unset", "SE"] = "unset"
    clear_by_empty_string: bool = False
    store_national_ids: bool = False
    statuses: Mapping[str, str] = {}
    levels: Mapping[str, str] = {}
    new_prospect_status: Literal["hold", "Assigned"] = "hold"
    prospect_removed: Literal["hold", "not_interested"] = "hold"
    project_status_writes: bool = False
    viewing_means_interested: bool = False
    signatory_links: bool = False
    catalogue: tuple[tuple[str, str, bool, str], ...] = ()


class Content(Struct, frozen=True, gc=False):
    """One record as a payload shows it.

    `fields` holds only what the payload carries: absent is unknown, None is empty (G5). `changed` and
    `created` are aware UTC. `removed`: soft-deleted at the vendor. `reference`: the Vitec id among
    Propstreet's references, UNSET where
    a payload carries none. `flags`: what the operator should see or a write must respect, such as deceased
    (C12), blocked (C14), deceased_estate and association (C15: out of scope, no fields), sensitive (E12).
    `domain` is a company's, for match keys only. `labels`: every tag at Propstreet, mapped or not.
    `parts`: the records that this one joins, by category, as its own vendor names them (a prospect's
    project and contact).
    """

    external_id: str
    fields: dict[str, Value]
    changed: datetime | None
    created: datetime | None = None
    etag: str | None = None
    removed: bool = False
    reference: str | UnsetType | None = UNSET
    flags: tuple[str, ...] = ()
    domain: str | None = None
    labels: tuple[str, ...] = ()
    parts: dict[str, str] = {}


class Seen(Struct, frozen=True):
    """What a vendor is known to hold of a record when a write is weighed: its fields and its flags."""

    fields: Mapping[str, Value]
    flags: tuple[str, ...] = ()


class Hold(Struct, frozen=True):
    """A field that cannot be written; "*": the whole record. `detail` says what to do, never whose."""

    field: str
    reason: Reason
    detail: str

    @property
    def whole(self) -> bool:
        """Whether nothing of the record can be written."""
        return self.field == RECORD


class Patch(Struct, frozen=True):
    """What has to be sent: a JSON body, and ids of Vitec categories to DELETE (T5). `holds` was left out."""

    body: dict[str, object]
    remove_categories: tuple[str, ...] = ()
    holds: tuple[Hold, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.body and not self.remove_categories


R = TypeVar("R")


class Lens(ABC, Generic[R]):
    """The mapping of one category at one vendor; R is the Struct that its payload is decoded into."""

    vendor: ClassVar[str]
    category: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    pseudo: ClassVar[tuple[str, ...]] = ()
    """What else may be wanted: `reference`."""
    limits: ClassVar[Mapping[str, int]]
    """Longest text per field, in characters."""
    on_create: ClassVar[frozenset[str] | None] = None
    """The fields that a create call takes, None for all: the others follow as an update."""
    probed: ClassVar[frozenset[str]] = frozenset()
    """Fields that the vendor perhaps ignores: sent alone, and no more once that was seen (S31)."""
    returns: ClassVar[bool] = False
    """A record that was removed can be made again under its old id."""

    def __init__(self, record: type[R]) -> None:
        self._decoder = msgspec.json.Decoder(record)

    def get(self, payload: Payload, options: Options) -> Content:
        """Read a payload; raises UntranslatablePayload (the text names the place, never a value)."""
        return self.translate(self._decode(payload), options)

    def put(
        self,
        want: Mapping[str, Value],
        present: Payload | None,
        options: Options,
        *,
        identity: str | None = None,
    ) -> Patch:
        """Work wanted values into the present payload (None: a create) and give what has to be sent.

        Sends only what does not already mean the same (G2); what the vendor cannot hold is left out and
        stands in `holds`. `identity` is the record's id at the vendor, where it has to be sent (D1).
        """
        record = None if present is None else self._decode(present)
        content = None if record is None else self.translate(record, options)
        seen = None if content is None else Seen(content.fields, content.flags)
        holds = self.cannot_hold(want, seen, options)
        held = {hold.field for hold in holds}
        if RECORD in held:
            return Patch({}, holds=holds)
        due = {
            field: self.sent(field, value, options)
            for field, value in want.items()
            if field not in held and not self._settled(field, value, seen, options)
        }
        patch = self.write(due, record, options, identity)
        return Patch(patch.body, patch.remove_categories, (*holds, *patch.holds))

    def cannot_hold(self, want: Mapping[str, Value], seen: Seen | None, options: Options) -> tuple[Hold, ...]:
        """Tell which wanted values the vendor cannot take. `seen`: the record as it is; None: a create."""
        holds = [
            hold
            for field, value in want.items()
            if not self._settled(field, value, seen, options)
            and (hold := self._check(field, self.sent(field, value, options), seen, options))
        ]
        if seen is None:
            held = {hold.field for hold in holds}
            sent = {f: self.sent(f, v, options) for f, v in want.items() if f not in held}
            if (
                hold := self.check_create({f: v for f, v in sent.items() if not blank(v)}, options)
            ) is not None:
                holds.append(hold)
        return tuple(holds)

    def kept(self, field: str, wanted: Value, read: Value, options: Options) -> bool:
        """Tell whether the value read is the wanted one, or a declared reshape of it.

        Vendors trim, squeeze blanks, and keep phones, e-mails and web addresses in a form of their own.
        """
        if same(field, wanted, read, options.region):
            return True
        return isinstance(wanted, str) and isinstance(read, str) and _squeezed(wanted) == _squeezed(read)

    def sent(self, field: str, value: Value, options: Options) -> Value:
        """Give the form in which a value is sent: trimmed, phones in E.164, codes in capitals."""
        if field == "tags":
            return normal(field, value)
        if not isinstance(value, str) or blank(value):
            return None
        match field:
            case "phone":
                return e164(value, options.region) or value.strip()
            case "country":
                return value.strip().upper()
            case "organisation_number":
                return normal(field, value)
            case "reference":
                return value  # an id, opaque
        return value.strip()

    def when_gone(self, options: Options) -> dict[str, Value]:
        """Give what a record that is gone reads as, where the settings make an edit of that; else nothing."""
        return {}

    def table(self, options: Options) -> Mapping[str, str]:
        """Vitec category (id or name) to tag, for this category of records (T1)."""
        return options.categories if self.category == "contact" else options.company_categories

    @abstractmethod
    def translate(self, record: R, options: Options) -> Content:
        """Read a decoded payload."""

    @abstractmethod
    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Tell why a value, in the form in which it would be sent, cannot be written at this vendor."""

    @abstractmethod
    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Tell why a record with only these values cannot be created."""

    @abstractmethod
    def write(
        self, due: Mapping[str, Value], record: R | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the request for values that are due, in the form in which they are sent."""

    def _decode(self, payload: Payload) -> R:
        return decoded(payload, self._decoder, f"{self.vendor} {self.category}")

    def _settled(self, field: str, value: Value, seen: Seen | None, options: Options) -> bool:
        """Whether nothing has to be written: nothing to say on a create, else no other meaning (G2)."""
        if seen is None:
            return blank(self.sent(field, value, options))
        return field in seen.fields and same(field, value, seen.fields[field], options.region)

    def _check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """The checks that are the same everywhere, then the vendor's own."""
        if isinstance(value, str) and value.startswith(UNMAPPED):
            word = value.removeprefix(UNMAPPED)
            return Hold(field, "unmapped", f"{word} has no counterpart here; left as it is")
        if not self._writes(field, options):
            return Hold(
                field,
                "not_writable",
                f"{self.vendor.capitalize()} takes no {field} here, or it is switched off",
            )
        texts = (value,) if isinstance(value, str) else value or ()
        if not all(map(_encodable, texts)):
            return Hold(field, "invalid", "the text has characters that are none; type it anew")
        limit = self.limits.get(field)
        if limit is not None and isinstance(value, str) and len(value) > limit:
            return Hold(
                field,
                "too_long",
                f"{self.vendor.capitalize()} takes {limit} characters and this has {len(value)}; shorten it",
            )
        return self.check(field, value, seen, options)

    def _writes(self, field: str, options: Options) -> bool:
        match field:
            case "tags":
                return bool(self.table(options))
            case "strategy":
                return options.note in ("strategy", "keyword")
        return field in self.fields or field in self.pseudo


def carried(**texts: Text) -> dict[str, Value]:
    """Give the fields that a payload carries: UNSET ones are left out, blank ones are None (G5)."""
    return {
        field: None if text is None or blank(text) else text
        for field, text in texts.items()
        if text is not UNSET
    }


def country_problem(value: Value) -> Hold | None:
    """Hold a country that is no code of two letters (ISO 3166-1 alpha-2)."""
    if isinstance(value, str) and not (len(value) == 2 and value.isascii() and value.isalpha()):
        return Hold("country", "invalid", "a country is a code of two letters such as SE or NO")
    return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _squeezed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
