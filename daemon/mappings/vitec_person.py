"""A Vitec Connect person (section 1 of the mapping rules; typed read, UpdatePerson)."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import Value
from daemon.mappings.lens import RECORD, Hold, Options, Text, carried
from daemon.mappings.vitec import Record, VitecLens


class Email(Struct, frozen=True, rename="camel"):
    """The two addresses; only the first is synced (C3, C4)."""

    email_address: Text = UNSET
    email_address2: Text = UNSET


class Telephone(Struct, frozen=True):
    """The numbers; only the mobile is synced, without a fallback (C5, C6)."""

    cell: Text = UNSET


class Person(Record, frozen=True, rename="camel"):
    """The mapped part of a person's payload."""

    first_name: Text = UNSET
    last_name: Text = UNSET
    email: Email | UnsetType | None = UNSET
    telephone: Telephone | UnsetType | None = UNSET
    is_deceased: bool | None = None


class VitecPerson(VitecLens[Person]):
    """Vitec's person."""

    category = "contact"
    kind = "Person"
    fields = ("first_name", "last_name", "email", "phone", "tags", "strategy")
    limits: ClassVar[Mapping[str, int]] = {"first_name": 30, "last_name": 30, "email": 100, "phone": 17}
    names: ClassVar[Mapping[str, str]] = {
        "first_name": "firstName",
        "last_name": "lastName",
        "phone": "cellPhone",
        "strategy": "note",
    }
    never_cleared = frozenset({"first_name", "last_name"})

    def __init__(self) -> None:
        super().__init__(Person)

    def texts(self, record: Person) -> dict[str, Value]:
        """Give names, first e-mail and mobile as far as the payload carries them."""
        return carried(
            first_name=record.first_name,
            last_name=record.last_name,
            email=record.email.email_address if isinstance(record.email, Email) else record.email,
            phone=record.telephone.cell if isinstance(record.telephone, Telephone) else record.telephone,
        )

    def nested(self, field: str, value: str, record: Person | None) -> dict[str, object]:
        """Give the e-mail object with the present second address (C4)."""
        present = record.email if record else None
        second = present.email_address2 if isinstance(present, Email) else None
        return {"email": {"emailAddress": value} | ({"emailAddress2": second} if second else {})}

    def flags(self, record: Person) -> tuple[str, ...]:
        """Tell a deceased person: shown, nothing is deleted (C12)."""
        return ("deceased",) if record.is_deceased else ()

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a person without e-mail and phone: Vitec refuses it, or makes one unchecked (C20, D3)."""
        if takes.keys() & {"email", "phone"}:
            return None
        return Hold(RECORD, "needs_channel", "Vitec asks for an e-mail or a phone; give one at Propstreet")
