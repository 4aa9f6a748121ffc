"""The desk for contacts and companies: a user's hands, and what the API's writes do to them."""

import copy
import itertools
from collections.abc import Collection, Mapping
from typing import Any

from daemon.sandbox.twins.journal import content
from daemon.sandbox.twins.vitec_connect import writing
from daemon.sandbox.twins.vitec_connect.contacts import (
    SHAPES,
    Category,
    Contact,
    Kind,
    crm_form,
    flatten,
    own_forms,
    without_blanks,
)
from daemon.sandbox.twins.vitec_connect.office import UNKNOWN_CONTACT, Change, CustomField, Office
from daemon.sandbox.twins.vitec_connect.relations import CONTACT_RELATIONS, more_interested
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


class ContactDesk(Office):
    """Contacts of every kind, their categories and custom fields, and the relations between them."""

    # --- the user side

    def create(self, kind: Kind, **fields: Any) -> str:
        """A user enters a contact; nested read names (email={"emailAddress": ...}), `categories` as ids.

        Returns the id. Raises KeyError for an unknown field or category, ValueError for too long a text.
        """
        categories = self._known(kind, fields.pop("categories", []))
        change = self._create(kind, self._typed(kind, fields), categories)
        self.journal_person(change)
        self.tell_contact("Update", self.contacts[change.record])
        return change.record

    def edit(self, contact_id: str, **fields: Any) -> None:
        """A user changes some fields; nested ones are merged into the present, None or "" clears.

        An edit that changes nothing moves no date and tells nobody. Raises as `create`.
        """
        contact = self.contacts[contact_id]
        categories = self._known(contact.kind, fields.pop("categories", contact.categories))
        change = self._put(contact, self._typed(contact.kind, fields), categories)
        self.journal_person(change)
        if change.changed:
            contact.changed_at = self.now()
            self.tell_contact("Update", contact)

    def remove(self, contact_id: str) -> None:
        """A user deletes a contact: it is in no list any more, and Remove is told."""
        contact = self.contacts[contact_id]
        self.journal_person(self._drop(contact_id))
        self._forget(contact_id)
        self.tell_contact("Remove", contact)

    def merge(self, destination: str, *sources: str) -> None:
        """A user merges contacts of one kind: blanks are filled from the sources, which are gone then.

        Interests, parties, viewings, bids, notes, links and leads go over to the destination.
        """
        kept, merged = self.contacts[destination], [self.contacts[source] for source in sources]
        if not merged or kept in merged or any(source.kind != kept.kind for source in merged):
            raise ValueError("a merge needs other contacts of the same kind")
        fields: dict[str, Any] = {}
        categories = list(kept.categories)
        for source in reversed(merged):
            fields |= source.fields
            categories += [category for category in source.categories if category not in categories]
        change = self._put(kept, fields | kept.fields, categories)
        kept.changed_at = self.now()
        self.journal_person(change)
        for source_id in sources:
            self.journal_person(self._drop(source_id))
            self._inherit(source_id, destination)
        self.notifier.publish_merge(SHAPES[kept.kind].subtype, destination, sources)

    def connect(self, company: str, person: str, relation: str = "CompanyContactPerson") -> None:
        """A user enters on a contact's card how another one belongs to it; both cards change.

        Raises KeyError for an unknown contact, ValueError for an unknown relation.
        """
        if relation not in CONTACT_RELATIONS:
            raise ValueError(f"no relation is called {relation}")
        present = self.links.get(company, person) or ()
        self._link(company, person, present if relation in present else (*present, relation))

    def disconnect(self, company: str, person: str, relation: str | None = None) -> None:
        """A user takes one relation away, or all between the two. Raises KeyError for an unknown contact."""
        present = self.links.get(company, person) or ()
        self._link(company, person, tuple(r for r in present if relation not in (None, r)))

    def contact_relations(self, contact_id: str) -> dict[str, list[dict[str, str]]]:
        """What ContactRelations answers: a company's people as relations, a person's companies as reverse."""
        ends = (
            ("relations", self.links.of_left(contact_id)),
            ("reverseRelations", self.links.of_right(contact_id)),
        )
        return {
            name: [{"relation": r, "contactId": other} for other, found in ties.items() for r in found]
            for name, ties in ends
        }

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

    # --- what the API does

    def form(self, contact: Contact) -> dict[str, Any]:
        """The typed read form of a contact."""
        return crm_form(contact, self.customer_id, self.catalogue, self.switches)

    def update(self, kind: Kind, body: object) -> Change:
        """UpdatePerson or UpdateCompany: duplicate check, then create or update. Raises RefusedError."""
        sent = writing.read_body(kind, body, self.switches)
        self.own(sent.filled("customerId"))
        return self.save(sent)

    def save(self, sent: writing.Sent) -> Change:
        """What an accepted body of UpdatePerson, UpdateCompany or a lead does. Raises RefusedError."""
        kind = sent.kind
        self._assignable(kind, sent.categories)
        fields = writing.changes(sent, self.switches) | self._custom_value(sent)
        target, by_name = self.match(sent)
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
            target.changed_at = self.now()
        self._echo_contact(change)
        return change

    def match(self, sent: writing.Sent) -> tuple[Contact | None, bool]:
        """The duplicate check: the contact that is meant, and whether it was found by name and channel.

        Raises RefusedError for an unknown id, or the id of another kind.
        """
        if contact_id := sent.filled("contactId"):
            found = self.contacts.get(contact_id)
            if found is None:
                raise RefusedError(404, UNKNOWN_CONTACT)
            if found.kind != sent.kind:
                raise RefusedError(400, "Kontakten är av en annan typ")
            return found, False
        candidates = [contact for contact in self.contacts.values() if contact.kind == sent.kind]
        by_number = next((contact for contact in candidates if writing.same_number(sent, contact)), None)
        if by_number is not None:
            return by_number, False
        return next((c for c in candidates if writing.same_name_and_channel(sent, c)), None), True

    def remove_category(self, contact_id: str, category_id: str) -> Change:
        """DELETE Category: takes one category off a contact. Raises RefusedError."""
        contact = self.contacts.get(contact_id)
        if contact is None:
            raise RefusedError(404, UNKNOWN_CONTACT)
        if category_id not in self.catalogue or self.catalogue[category_id].read_only:
            raise RefusedError(400, "Kategorin finns inte eller kan inte ändras")
        change = self._put(contact, {}, [present for present in contact.categories if present != category_id])
        contact.changed_at = self.now()
        self._echo_contact(change)
        return change

    # --- inside

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
        now = self.now()
        contact = Contact(self.new_id("ADR"), kind, now, now, categories=categories)
        contact.fields = without_blanks(dict(SHAPES[kind].defaults) | self._as_kept(fields))
        self.contacts[contact.id] = contact
        return Change(CATEGORY_OF_KIND[kind], contact.id, None, self._content(contact), changed=True)

    def _put(self, contact: Contact, fields: Mapping[str, Any], categories: list[str]) -> Change:
        before, wanted = self._content(contact), without_blanks(contact.fields | self._as_kept(fields))
        changed = wanted != contact.fields or categories != contact.categories
        contact.fields, contact.categories = wanted, list(categories)
        return Change(CATEGORY_OF_KIND[contact.kind], contact.id, before, self._content(contact), changed)

    def _as_kept(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return own_forms(fields) if self.switches.forms == "own" else dict(fields)

    def _drop(self, contact_id: str) -> Change:
        contact = self.contacts.pop(contact_id)
        return Change(CATEGORY_OF_KIND[contact.kind], contact_id, self._content(contact), None, changed=True)

    def _link(self, company: str, person: str, relations: tuple[str, ...]) -> None:
        cards = (self.contacts[company], self.contacts[person])
        before = self.links.get(company, person) or ()
        if relations == before:
            return
        if relations:
            self.links.put(company, person, relations)
        else:
            self.links.drop(company, person)
        old, new = ({"relations": list(names)} if names else None for names in (before, relations))
        self.journal_person(Change("link", f"{company}:{person}", old, new, changed=True))
        for card in cards:
            card.changed_at = self.now()
            self.tell_contact("Update", card)

    def _forget(self, contact_id: str) -> None:
        self.links.forget(contact_id)
        for ties in self.ties_to_estates():
            ties.forget(contact_id)
        self.notes.pop(contact_id, None)
        for viewing in itertools.chain(*self.viewings.values()):
            viewing.participants.pop(contact_id, None)

    def _inherit(self, source: str, destination: str) -> None:
        self.links.move(source, destination, lambda own, other: tuple(dict.fromkeys((*own, *other))))
        self.links.drop(destination, destination)
        self.interests.move(source, destination, more_interested)
        for parties in self.parties.values():
            parties.move(source, destination, lambda own, _: own)
        for note in self.notes.pop(source, []):
            note.contact = destination
            self.notes[destination].append(note)
        for viewing in itertools.chain(*self.viewings.values()):
            if source in viewing.participants:
                place = viewing.participants.pop(source)
                viewing.participants.setdefault(destination, place)
        for bid in itertools.chain(*self.bids.values()):
            bid.contact = destination if bid.contact == source else bid.contact
        for lead in self.leads.values():
            lead["contactId"] = destination if lead["contactId"] == source else lead["contactId"]

    def _content(self, contact: Contact) -> dict[str, Any] | None:
        return content(self.form(contact), _TIMES)

    def _echo_contact(self, change: Change) -> None:
        for _ in range(self.echoes()):
            self.tell_contact("Update", self.contacts[change.record])
