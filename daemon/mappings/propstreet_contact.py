"""A Propstreet contact (section 1 of the mapping rules; model Contact)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from email_validator import validate_email
from msgspec import UNSET

from daemon.domain.fields import Value
from daemon.mappings.lens import RECORD, Hold, Options, Seen, Text, carried
from daemon.mappings.propstreet import Party, PartyLens


class Contact(Party, frozen=True, rename="camel"):
    """The mapped part of a contact's payload; e-mail and phone are the primary ones (C3, C5, C13)."""

    first_name: Text = UNSET
    last_name: Text = UNSET
    email: Text = UNSET
    phone: Text = UNSET
    blocked: bool | None = None


class PropstreetContact(PartyLens[Contact]):
    """Propstreet's contact."""

    category = "contact"
    fields = ("first_name", "last_name", "email", "phone", "tags", "strategy")
    limits: ClassVar[Mapping[str, int]] = {
        "first_name": 255,
        "last_name": 255,
        "email": 254,
        "phone": 50,
        "reference": 255,
    }
    names: ClassVar[Mapping[str, str]] = {
        "first_name": "firstName",
        "last_name": "lastName",
        "email": "email",
        "phone": "phone",
        "strategy": "strategy",
    }

    def __init__(self) -> None:
        super().__init__(Contact)

    def texts(self, record: Contact) -> dict[str, Value]:
        """Give names, e-mail and phone as far as the payload carries them."""
        return carried(
            first_name=record.first_name, last_name=record.last_name, email=record.email, phone=record.phone
        )

    def flags(self, record: Contact, options: Options) -> tuple[str, ...]:
        """Tell a blocked contact (C14)."""
        return ("blocked",) if record.blocked else ()

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold an e-mail that Propstreet would refuse, besides what every resource holds."""
        if field == "email" and isinstance(value, str) and not _valid(value):
            return Hold(
                "email", "invalid", "Propstreet takes only valid e-mail addresses; correct it at Vitec"
            )
        return super().check(field, value, seen, options)

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a contact without name, e-mail and phone (POST contacts asks for one of them)."""
        if takes.keys() & {"first_name", "last_name", "email", "phone"}:
            return None
        return Hold(
            RECORD, "needs_channel", "a contact needs a name, an e-mail or a phone; give one at Vitec"
        )


@lru_cache(maxsize=1 << 14)
def _valid(email: str) -> bool:
    """Whether the text has the form of an address; nothing is looked up, and .test is as good as any."""
    try:
        validate_email(email, check_deliverability=False, globally_deliverable=False, test_environment=True)
    except ValueError:
        return False
    return "." in email.rpartition("@")[2]
