"""The twin itself: one Vitec customer's contacts, the hands of its users, and what the API does to them."""

import copy
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.journal import Entry, Journal, content
from daemon.sandbox.twins.vitec_connect import writing
from daemon.sandbox.twins.vitec_connect.api import Api
from daemon.sandbox.twins.vitec_connect.contacts import (
    SHAPES,
    Category,
    Contact,
    Kind,
    crm_form,
    flatten,
    without_blanks,
)
from daemon.sandbox.twins.vitec_connect.notifications import Event, Notification, Notifier
from daemon.sandbox.twins.vitec_connect.switches import Form, Switches, Transport
from daemon.sandbox.twins.vitec_connect.writing import RefusedError

CATEGORY_OF_KIND: dict[Kind, str] = {
    "person": "contact",
    "company": "company",
    "deceased_estate": "deceased_estate",
}
_TIMES = ("createdAt", "changedAt")


def _limits(like: Kind, **own: int) -> dict[str, int]:
    return {rule.path: rule.limit for rule in writing.FIELDS[like].values() if rule.limit} | own


_LIMITS: dict[Kind, dict[str, int]] = {
    "person": _limits("person"),
    "company": _limits("company"),
    "deceased_estate": _limits("person", name=30),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What one write did: the record as a user saw it before (None: new) and sees it after (None: gone)."""

    kind: Kind
    record: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    changed: bool


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom field of the customer (page CustomField/Get)."""

    name: str
    label: str
    type: str
    valid_for: tuple[str, ...]


class VitecConnectTwin:
    """A stand-in for Vitec Connect, with the API on `app` and the broker's hands as plain methods.

    `switches` and `faults` may be turned at any time; `journal` keeps every write. `clock` gives aware times
    and may be skewed. `credentials` holds a (user, password) pair per function group, used by VS32.
    """

    def __init__(
        self,
        switches: Switches | None = None,
        *,
        seed: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        customer_id: str = "M11385",
        username: str = "toveis",
        password: str = "twin-password",
    ) -> None:
        self.switches = switches or Switches()
        self.clock = clock
        self.customer_id, self.username, self.password = customer_id, username, password
        self.credentials = {
            group: (f"{username}-{group.lower()}", password)
            for group in ("CRM-Contact", "Advertising", "Service")
        }
        self.journal = Journal()
        self.contacts: dict[str, Contact] = {}
        self.catalogue: dict[str, Category] = {}
        self.custom_fields: dict[str, CustomField] = {}
        self.leads: dict[str, dict[str, Any]] = {}
        self._random = random.Random(seed)
        self._api = Api(self)
        self.faults = Faults(seed=seed, failure=self._api.failure)
        self.notifier = Notifier(self.switches, self.faults, customer_id)

    @property
    def app(self) -> web.Application:
        """A fresh application over the same records: it may be served, stopped and served again."""
        return self._api.application()

    # --- the user side

    def create(self, kind: Kind, **fields: Any) -> str:
        """A user enters a contact; nested read names (email={"emailAddress": ...}), `categories` as ids.

        Returns the id. Raises KeyError for an unknown field or category, ValueError for too long a text.
        """
        categories = self._known(kind, fields.pop("categories", []))
        change = self._create(kind, self._typed(kind, fields), categories)
        self._journal_person(change)
        self._tell("Update", change)
        return change.record

    def edit(self, contact_id: str, **fields: Any) -> None:
        """A user changes some fields; nested ones are merged into the present, None or "" clears.

        An edit that changes nothing moves no date and tells nobody. Raises as `create`.
        """
        contact = self.contacts[contact_id]
        categories = self._known(contact.kind, fields.pop("categories", contact.categories))
        change = self._put(contact, self._typed(contact.kind, fields), categories)
        self._journal_person(change)
        if change.changed:
            contact.changed_at = self._now()
            self._tell("Update", change)

    def remove(self, contact_id: str) -> None:
        """A user deletes a contact: it is in no list any more, and Remove is told."""
        change = self._drop(contact_id)
        self._journal_person(change)
        self._tell("Remove", change)

    def merge(self, destination: str, *sources: str) -> None:
        """A user merges contacts of one kind: blanks are filled from the sources, which are gone then."""
        kept, merged = self.contacts[destination], [self.contacts[source] for source in sources]
        if not merged or kept in merged or any(source.kind != kept.kind for source in merged):
            raise ValueError("a merge needs other contacts of the same kind")
        fields: dict[str, Any] = {}
        categories = list(kept.categories)
        for source in reversed(merged):
            fields |= source.fields
            categories += [category for category in source.categories if category not in categories]
        change = self._put(kept, fields | kept.fields, categories)
        kept.changed_at = self._now()
        self._journal_person(change)
        for source_id in sources:
            self._journal_person(self._drop(source_id))
        self.notifier.publish_merge(SHAPES[kept.kind].subtype, destination, sources)

    def get(self, contact_id: str) -> dict[str, Any]:
        """The typed read form, as the API would give it. Raises KeyError when gone."""
        return self.form(self.contacts[contact_id])

    def records(self, kind: Kind) -> list[dict[str, Any]]:
        """Every contact of a kind in its typed read form, oldest first."""
        return [self.form(contact) for contact in self.contacts.values() if contact.kind == kind]

    def define_category(
        self, category_id: str, name: str, kind: Kind = "person", read_only: bool = False
    ) -> None:
        """Add a category to the persons' or the companies' list."""
        self.catalogue[category_id] = Category(category_id, name, kind, read_only)

    def define_custom_field(
        self, name: str, label: str, value_type: str = "Text", valid_for: Collection[str] = ("Person",)
    ) -> None:
        """Add a custom field."""
        self.custom_fields[name] = CustomField(name, label, value_type, tuple(valid_for))

    def subscribe(
        self,
        url: str,
        *,
        form: Form | None = None,
        transport: Transport | None = None,
        types: Collection[str] | None = None,
    ) -> None:
        """Vitec's staff add a receiver; form and transport come from VS1 and VS2, None is every type."""
        self.notifier.subscribe(url, form=form, transport=transport, types=types)

    def announce(
        self,
        told_type: str,
        event: Event = "Update",
        *,
        record: str | None = None,
        subtype: str | None = None,
        relations: tuple[tuple[str, str | None], ...] = (),
        data: dict[str, Any] | None = None,
    ) -> None:
        """Tell of something the twin does not keep (an estate, a meeting, an office).

        Without an id an Office is told by the customer's id or, by VS35, by its own.
        """
        if told_type == "Office" and record is None:
            customer = self.customer_id
            record = customer if self.switches.vs35 == "customer" else f"FIR{customer.removeprefix('M')}"
        self.notifier.publish(Notification(told_type, event, record, subtype, relations, data))

    async def settled(self) -> None:
        """Wait until no notification is queued or on its way."""
        await self.notifier.settled()

    async def close(self) -> None:
        """Stop delivering; the records stay."""
        await self.notifier.close()

    # --- what the API does

    def form(self, contact: Contact) -> dict[str, Any]:
        """The typed read form of a contact."""
        return crm_form(contact, self.customer_id, self.catalogue, self.switches)

    def update(self, kind: Kind, body: object) -> Change:
        """UpdatePerson or UpdateCompany: duplicate check, then create or update. Raises RefusedError."""
        sent = writing.read_body(kind, body, self.switches)
        if sent.filled("customerId") != self.customer_id:
            raise RefusedError(403, "Åtkomst nekad")
        self._assignable(kind, sent.categories)
        fields = writing.changes(sent, self.switches) | self._custom_value(sent)
        target, by_name = self._target(sent)
        if self.switches.vs13 == "always" or target is None:
            self._need_channel(sent)
        if target is None:
            change = self._create(kind, fields, list(dict.fromkeys(sent.categories)))
        elif by_name and self.switches.vs12 == "untouched":
            return self._put(target, {}, target.categories)
        else:
            change = self._put(
                target,
                self._with_custom(target, fields),
                self._with_categories(target, sent.categories),
            )
            target.changed_at = self._now()
        self._echo(change)
        return change

    def remove_category(self, contact_id: str, category_id: str) -> Change:
        """DELETE Category: takes one category off a contact. Raises RefusedError."""
        contact = self.contacts.get(contact_id)
        if contact is None:
            raise RefusedError(404, "Kontakten finns inte")
        if category_id not in self.catalogue or self.catalogue[category_id].read_only:
            raise RefusedError(400, "Kategorin finns inte eller kan inte ändras")
        change = self._put(contact, {}, [present for present in contact.categories if present != category_id])
        contact.changed_at = self._now()
        self._echo(change)
        return change

    def take_lead(self, body: object) -> tuple[str, Change]:
        """Lead/Person: duplicate check, then a lead on the found or made person. Returns the lead's id."""
        change = self.update("person", writing.person_of_lead(body, self.customer_id))
        lead_id = self._new_id("LED")
        self.leads[lead_id] = {"contactId": change.record, "lead": body}
        return lead_id, change

    def journal_api(self, method: str, path: str, status: int, change: Change | None = None) -> None:
        """Keep one API write; `change` is None when it was refused."""
        if change is None:
            change = Change(
                "company" if path.endswith("Company") else "person", "", None, None, changed=False
            )
        self._journal("api", method, path, status, change)

    # --- inside

    def _target(self, sent: writing.Sent) -> tuple[Contact | None, bool]:
        if contact_id := sent.filled("contactId"):
            found = self.contacts.get(contact_id)
            if found is None:
                raise RefusedError(404, "Kontakten finns inte")
            if found.kind != sent.kind:
                raise RefusedError(400, "Kontakten är av en annan typ")
            return found, False
        candidates = [contact for contact in self.contacts.values() if contact.kind == sent.kind]
        by_number = next((contact for contact in candidates if writing.same_number(sent, contact)), None)
        if by_number is not None:
            return by_number, False
        return next((c for c in candidates if writing.same_name_and_channel(sent, c)), None), True

    def _need_channel(self, sent: writing.Sent) -> None:
        if sent.kind == "person" and not sent.has_channel():
            raise RefusedError(400, state={"contact": [writing.NO_CHANNEL]})

    def _assignable(self, kind: Kind, categories: Collection[str]) -> None:
        for category_id in categories:
            category = self.catalogue.get(category_id)
            if category is None or category.kind != kind or category.read_only:
                raise RefusedError(400, state={"contact.CategoryIds": ["Kategorin kan inte väljas"]})

    def _with_categories(self, contact: Contact, sent: list[str]) -> list[str]:
        if not sent:
            return contact.categories
        kept = [
            present
            for present in contact.categories
            if self.switches.vs11 == "add" or self.catalogue[present].read_only
        ]
        return list(dict.fromkeys([*kept, *sent]))

    def _custom_value(self, sent: writing.Sent) -> dict[str, Any]:
        if sent.custom_field is None:
            return {}
        name = sent.custom_field.get("name")
        if name not in self.custom_fields:
            raise RefusedError(400, state={"contact.CustomField.Name": ["Fältet finns inte"]})
        return {"customFields": {name: sent.custom_field.get("value")}}

    def _with_custom(self, contact: Contact, fields: dict[str, Any]) -> dict[str, Any]:
        if "customFields" not in fields:
            return fields
        return fields | {"customFields": contact.fields.get("customFields", {}) | fields["customFields"]}

    def _typed(self, kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
        flat = flatten(kind, copy.deepcopy(dict(fields)))
        for path, value in flat.items():
            if isinstance(value, str) and len(value) > _LIMITS[kind].get(path, len(value)):
                raise ValueError(f"{path} takes at most {_LIMITS[kind][path]} characters")
        return flat

    def _known(self, kind: Kind, categories: Collection[str]) -> list[str]:
        wanted: Kind = "company" if kind == "company" else "person"
        for category_id in categories:
            if self.catalogue[category_id].kind != wanted:
                raise KeyError(f"{category_id} is no category of a {kind}")
        return list(dict.fromkeys(categories))

    def _create(self, kind: Kind, fields: Mapping[str, Any], categories: list[str]) -> Change:
        now = self._now()
        contact = Contact(self._new_id("ADR"), kind, now, now, categories=categories)
        contact.fields = without_blanks(dict(SHAPES[kind].defaults) | dict(fields))
        self.contacts[contact.id] = contact
        return Change(kind, contact.id, None, self._content(contact), changed=True)

    def _put(self, contact: Contact, fields: Mapping[str, Any], categories: list[str]) -> Change:
        before, wanted = self._content(contact), without_blanks(contact.fields | dict(fields))
        changed = wanted != contact.fields or categories != contact.categories
        contact.fields, contact.categories = wanted, list(categories)
        return Change(contact.kind, contact.id, before, self._content(contact), changed)

    def _drop(self, contact_id: str) -> Change:
        contact = self.contacts.pop(contact_id)
        return Change(contact.kind, contact_id, self._content(contact), None, changed=True)

    def _content(self, contact: Contact) -> dict[str, Any] | None:
        return content(self.form(contact), _TIMES)

    def _echo(self, change: Change) -> None:
        for _ in range({"none": 0, "echo": 1, "twice": 2}[self.switches.vs5]):
            self._tell("Update", change)

    def _tell(self, event: Event, change: Change) -> None:
        self.notifier.publish(Notification("Contact", event, change.record, SHAPES[change.kind].subtype))

    def _journal(
        self, actor: Literal["api", "person"], method: str, path: str, status: int, change: Change
    ) -> None:
        entry = Entry(
            self.clock(), actor, "write", method, path, CATEGORY_OF_KIND[change.kind], change.record, status
        )
        entry.changed, entry.before, entry.after = change.changed, change.before, change.after
        self.journal.append(entry)

    def _journal_person(self, change: Change) -> None:
        self._journal("person", "", "", 200, change)

    def _now(self) -> datetime:
        now = self.clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}{self._random.getrandbits(128):032X}"
