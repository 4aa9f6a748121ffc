"""One Vitec customer: its records, and what every call and every user's hand needs."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.journal import Entry, Journal
from daemon.sandbox.twins.vitec_connect.contacts import SHAPES, Category, Contact
from daemon.sandbox.twins.vitec_connect.estates import Estate
from daemon.sandbox.twins.vitec_connect.notifications import Event, Notification, Notifier, Related
from daemon.sandbox.twins.vitec_connect.relations import Bid, Interest, Note, Party, Role, Ties, Viewing
from daemon.sandbox.twins.vitec_connect.switches import Switches
from daemon.sandbox.twins.vitec_connect.writing import RefusedError

UNKNOWN_CONTACT = "Kontakten finns inte"
UNKNOWN_ESTATE = "Objektet finns inte"
GROUPS = ("CRM-Contact", "CRM-Lead", "CRM-Project", "Advertising", "Estate", "Interest", "Service")

# What a refused call was about, by a part of its path.
_CATEGORY_OF_PATH = {
    "/Speculator": "prospect",
    "/SendInterestOnEstate": "prospect",
    "/Lead": "lead",
    "/Interest": "lead",
    "/Advertising": "lead",
    "/Note": "note",
    "/Project": "project",
    "/UpdateCompany": "company",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What one write did: the record as a user saw it before (None: new) and sees it after (None: gone).

    `category` is contact, company, deceased_estate, project, prospect ("<estateId>:<contactId>"), lead, note
    or link ("<companyId>:<personId>").
    """

    category: str
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


class Office:
    """The records of one customer, with its clock, its ids, its journal and those who are told.

    `credentials` holds a (user, password) pair per function group, used by VS32. `leads` holds every lead
    by its id: `call`, `contactId`, `estateId`, `leadSourceId`, `message` and the whole `body`.
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
        self.credentials = {group: (f"{username}-{group.lower()}", password) for group in GROUPS}
        self.journal = Journal()
        self.faults = Faults(seed=seed)
        self.notifier = Notifier(self.switches, self.faults, customer_id)
        self._random = random.Random(seed)

        self.contacts: dict[str, Contact] = {}
        self.catalogue: dict[str, Category] = {}
        self.custom_fields: dict[str, CustomField] = {}
        self.links: Ties[tuple[str, ...]] = Ties()  # company and person: the names of their relations
        self.register: dict[str, Estate] = {}  # estates and projects
        self.interests: Ties[Interest] = Ties()
        self.parties: dict[Role, Ties[Party]] = {"Buyer": Ties(), "Seller": Ties()}
        self.viewings: defaultdict[str, list[Viewing]] = defaultdict(list)  # by estate
        self.bids: defaultdict[str, list[Bid]] = defaultdict(list)  # by estate
        self.notes: defaultdict[str | None, list[Note]] = defaultdict(list)  # by contact
        self.lead_sources: dict[str, dict[str, str]] = {}
        self.leads: dict[str, dict[str, Any]] = {}

    def now(self) -> datetime:
        """The time by the customer's clock, whole milliseconds."""
        now = self.clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def new_id(self, prefix: str) -> str:
        """An id of the form that contacts, notes, viewings and leads have."""
        return f"{prefix}{self._random.getrandbits(128):032X}"

    def new_estate_id(self, prefix: str) -> str:
        """An id of the form that estates and projects have."""
        while (
            found := f"{prefix}{self.customer_id.lstrip('M')}_{self._random.randrange(10**9, 10**10)}"
        ) in self.register:
            pass
        return found

    def ties_to_estates(self) -> list[Ties[Any]]:
        """Everything that ties a contact to an estate and goes with either."""
        return [self.interests, *self.parties.values()]

    def own(self, customer: object) -> None:
        """Raises RefusedError (403) for another customer's data."""
        if customer != self.customer_id:
            raise RefusedError(403, "Åtkomst nekad")

    def tell(self, notification: Notification) -> None:
        """Tell of something that a user did."""
        self.notifier.publish(notification)

    def echoes(self) -> int:
        """How often a write through the API comes back (VS5)."""
        return {"none": 0, "echo": 1, "twice": 2}[self.switches.vs5]

    def tell_contact(self, event: Event, contact: Contact) -> None:
        """Tell of a contact."""
        self.tell(Notification("Contact", event, contact.id, SHAPES[contact.kind].subtype))

    def related_contact(self, contact_id: str) -> Related:
        """A contact as a notification names it beside something else."""
        contact = self.contacts.get(contact_id)
        return contact_id, SHAPES[contact.kind].subtype if contact else None

    def related_estate(self, estate_id: str) -> Related:
        """An estate as a notification names it beside something else; a project has no type there."""
        estate = self.register.get(estate_id)
        return estate_id, None if estate is None or estate.kind == "Project" else estate.kind

    def journal_api(self, method: str, path: str, status: int, change: Change | None = None) -> None:
        """Keep one API write; `change` is None when it was refused."""
        if change is None:
            about = (category for part, category in _CATEGORY_OF_PATH.items() if part in path)
            change = Change(next(about, "contact"), "", None, None, changed=False)
        self._journal("api", method, path, status, change)

    def journal_person(self, change: Change) -> None:
        """Keep one edit by a user."""
        self._journal("person", "", "", 200, change)

    def _journal(
        self, actor: Literal["api", "person"], method: str, path: str, status: int, change: Change
    ) -> None:
        entry = Entry(self.clock(), actor, "write", method, path, change.category, change.record, status)
        entry.changed, entry.before, entry.after = change.changed, change.before, change.after
        self.journal.append(entry)
