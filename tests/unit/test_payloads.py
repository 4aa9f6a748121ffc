"""Every sample of tests/payloads: what comes out of it, or why nothing does. One table says it for all of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from daemon.domain.errors import (
    Duplicate,
    RateLimited,
    Rejected,
    Stale,
    UntranslatablePayload,
    VendorError,
)
from daemon.domain.events import NOTIFIED, OBSERVED, Event, NewEvent, Reading, encode, reading_of
from daemon.domain.fields import Value
from daemon.domain.settings import SyncSettings
from daemon.domain.streams import CATEGORIES, derived_id, parse_record_stream, record_stream
from daemon.ingest import propstreet_webhooks, vitec_notifications
from daemon.mappings import lens
from daemon.mappings.lens import Content, Options
from daemon.mappings.privacy import without_national_ids
from daemon.mappings.propstreet_company import Company as PropstreetCompany
from daemon.mappings.propstreet_contact import Contact as PropstreetContact
from daemon.mappings.vitec_company import Company as VitecCompany
from daemon.mappings.vitec_person import Person as VitecPerson
from daemon.vendors.limiter import Limiter
from daemon.vendors.propstreet.client import Page, PropstreetClient
from daemon.vendors.vitec_connect.client import Category, Changes, Match, Reference, VitecConnectClient
from projections.entity import Side
from projections.fold import Entities

FOLDER = Path(__file__).parents[1] / "payloads"
RECEIVED = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
TENANT = "oslo"
ADR = "ADR0123456789ABCDEF0123456789ABCDEF"
FIRM = "ADRFEDCBA9876543210FEDCBA9876543210"
PERSON_TOLD = "ADRB1173057ECD04D66B9D798812E09C1B5"
KEPT_BY_MERGE = "ADR8462BF8CEC9D4A3D875A7B4449997B00"
GONE_BY_MERGE = "ADRAC382A6314634AEB9ECC72A284B0DE09"
ESTATE = "OBJ11385_1395932274"
RELATED = {"project": ESTATE, "contact": PERSON_TOLD}
UPDATED = datetime(2026, 5, 18, 20, 22, 36, 959000, tzinfo=UTC)

OPTIONS = Options(
    customer_id="M11385",
    note="strategy",
    categories={"sample string 1": "string", "VIP": "vip", "K2": "enterprise", "K3": "decision-maker"},
    company_categories={"F2": "vip"},
    catalogue=(("F2", "VIP", False, "Company"),),
)


class Reads(msgspec.Struct, frozen=True):
    """A record: its category, and what its lens makes of it. `new` are top-level keys that nobody has described."""

    category: str
    content: Content
    new: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """A record that cannot be translated, and the words that say why."""

    category: str
    why: str


class Heard(msgspec.Struct, frozen=True):
    """A delivery: the streams that it becomes an event of, each with Vitec's word for the type of the record.

    `fields` are those of a push, None for a hint; `parts` are the records that the record joins; `why` says why a
    delivery becomes neither.
    """

    streams: tuple[tuple[str, str | None], ...]
    fields: Mapping[str, Value] | None = None
    parts: Mapping[str, str] = {}
    removed: bool = False
    why: str = ""


class Writes(msgspec.Struct, frozen=True):
    """A request body: the wish that makes our `put` send the same.

    `left` are keys of the sample that we never send, with the reason; `ours` are keys that the sample does without.
    """

    category: str
    want: Mapping[str, Value]
    present: Any = None
    options: Options = OPTIONS
    inside: str | None = None
    left: Mapping[str, str] = {}
    ours: tuple[str, ...] = ()


class Answers(msgspec.Struct, frozen=True):
    """An answer: the call of our client that gets it, and what it returns or raises (with the refused fields)."""

    call: Callable[[Any], Awaitable[object]]
    result: object = None
    raises: type[VendorError] | None = None
    refused: str = ""
    status: int = 200


class Asks(msgspec.Struct, frozen=True):
    """A request body that a call of our client sends as it stands; `answer` is the sample that it gets back."""

    call: Callable[[Any], Awaitable[object]]
    answer: bytes


class Unused(msgspec.Struct, frozen=True):
    """Nothing reads or sends it yet; why."""

    why: str


def inbox(vendor: str, why: str) -> Heard:
    return Heard(((f"inbox:{vendor}", None),), why=why)


def contact_of(record: str, **content: Any) -> Reads:
    return Reads("contact", Content(record, **content))


SPECULATOR = Heard(((f"prospect:vitec:{ESTATE}:{PERSON_TOLD}", None),), parts=RELATED)
PROSPECT = Heard((("prospect:propstreet:77", None),), parts={"project": "12"})
NOTED = Heard((("note:vitec:NOT11385_77", None),), parts=RELATED)
MERGED = Heard(((f"contact:vitec:{KEPT_BY_MERGE}", "Person"), (f"contact:vitec:{GONE_BY_MERGE}", "Person")))
PERSON = Heard(((f"contact:vitec:{PERSON_TOLD}", "Person"),))
COMPANY = Heard(((f"company:vitec:{FIRM}", "Company"),))
NOT_SENT_TO_VITEC = {
    "socialSecurityNumber": "G7",
    "isForeignSocialSecurityNumber": "G7",
    "telePhone": "C6",
    "workPhone": "C6",
    "otherPhone": "C6, B10",
    "switchPhone": "B10",
    "approval": "G9",
    "approvalDate": "G9",
    "gdprApprovalDate": "G9",
    "obtainThrough": "G9",
    "wishAdvertising": "G9",
    "userId": "C11",
    "leadScore": "C11",
    "coordinate": "C11",
    "task": "a task for the broker is not a field of the contact",
    "isForeignCorporateNumber": "B2",
    "customField": "B12",
}

TABLE: dict[
    str,
    Reads | Refused | Heard | Writes | Answers | Asks | Unused,
] = {
    # Vitec: records
    "vitec/crm_contact.json": contact_of(
        "sample string 1",
        # the untyped read has no names and no phone: unknown, not empty (G5)
        fields={"email": "sample string 1", "tags": ("string",), "strategy": "sample string 5"},
        changed=datetime(2025, 11, 5, 7, 59, 34, 555608, tzinfo=UTC),
        created=datetime(2025, 11, 5, 7, 59, 34, 555608, tzinfo=UTC),
    ),
    "vitec/made_up_person.json": contact_of(
        ADR,
        fields={
            "first_name": "Åsa",
            "last_name": "Berg",
            "email": "Asa.Berg@example.se",
            "phone": "070-174 06 05",
            "tags": ("vip",),
            "strategy": "Söker kontor i Oslo",
        },
        changed=datetime(2026, 8, 31, 9, 46, 9, 650000, tzinfo=UTC),
        created=datetime(2025, 11, 5, 7, 59, 34, 550000, tzinfo=UTC),
    ),
    "vitec/made_up_person_missing_fields.json": contact_of(ADR, fields={"last_name": "Berg"}, changed=None),
    "vitec/made_up_person_nulls.json": contact_of(
        ADR,
        fields={
            "first_name": None,
            "last_name": None,
            "email": None,
            "phone": None,
            "tags": (),
            "strategy": None,
        },
        changed=None,
    ),
    "vitec/made_up_person_new_fields.json": Reads(
        "contact",
        Content(
            ADR,
            {"first_name": "Kari", "phone": "+47 912 34 567"},
            datetime(2026, 8, 31, 9, 46, 9, tzinfo=UTC),
            flags=("deceased",),
        ),
        new=("pronoun", "preferences"),
    ),
    "vitec/made_up_person_seven_digits.json": contact_of(
        ADR,
        fields={"first_name": "Kari"},
        changed=datetime(2025, 11, 5, 22, 59, 59, 999999, tzinfo=UTC),  # cut, never rounded into the next day
        created=None,  # .NET's smallest time says nothing
    ),
    "vitec/made_up_person_autumn_hour.json": contact_of(
        ADR,
        fields={"first_name": "Kari"},
        changed=datetime(2026, 10, 25, 1, 30, tzinfo=UTC),  # the later of the two
        created=datetime(2026, 3, 29, 1, 30, tzinfo=UTC),  # an hour that spring leaves out
    ),
    "vitec/made_up_person_numbers_and_texts.json": contact_of(
        ADR,
        fields={"first_name": "Kari", "tags": ("vip",)},
        changed=datetime(2026, 8, 31, 9, 46, 9, 600000, tzinfo=UTC),
    ),
    "vitec/made_up_person_wrong_type.json": Refused("contact", "got `int` - at `$.firstName`"),
    "vitec/made_up_company.json": Reads(
        "company",
        Content(
            FIRM,
            {
                "name": "Sjöstaden AB",
                "organisation_number": "556677-8899",
                "country": None,
                "website": "www.Sjostaden.example.se/",
                "tags": (),
                "strategy": None,
            },
            datetime(2026, 1, 15, 10, 46, 9, tzinfo=UTC),
            created=datetime(2025, 11, 5, 7, 59, 34, 500000, tzinfo=UTC),
        ),
    ),
    "vitec/made_up_deceased_estate.json": contact_of(
        "ADR00000000000000000000000000000001",
        fields={},  # C15: counted, and no field of it is synced
        changed=datetime(2026, 8, 31, 9, 46, 9, tzinfo=UTC),
        flags=("deceased_estate",),
    ),
    # Vitec: notifications
    "vitec/notification_merge.json": MERGED,
    "vitec/made_up_notification_merge_old_spelling.json": MERGED,
    "vitec/made_up_notification_person.json": PERSON,
    "vitec/made_up_notification_person_old_spelling.json": PERSON,
    "vitec/made_up_notification_person_removed.json": PERSON,
    "vitec/made_up_notification_company.json": COMPANY,
    "vitec/made_up_notification_company_old_spelling.json": COMPANY,
    "vitec/made_up_notification_deceased_estate.json": Heard(
        (("contact:vitec:ADR00000000000000000000000000000001", "DeceasedEstate"),)
    ),
    "vitec/made_up_notification_association.json": inbox("vitec", "V6: no call reads an association"),
    "vitec/made_up_notification_speculator.json": SPECULATOR,
    "vitec/made_up_notification_speculator_old_spelling.json": SPECULATOR,
    "vitec/made_up_notification_buyer.json": SPECULATOR,
    "vitec/notification_estate_contact_seller.json": inbox("vitec", "V10: sellers are no prospects"),
    "vitec/notification_estate.json": inbox("vitec", "E10: a flat is no project unless that is configured"),
    "vitec/made_up_notification_estate.json": Heard(((f"project:vitec:{ESTATE}", "CommercialProperty"),)),
    "vitec/made_up_notification_project.json": Heard((("project:vitec:PRO11385_1395932275", "Project"),)),
    "vitec/made_up_notification_note.json": NOTED,
    "vitec/made_up_notification_note_old_spelling.json": NOTED,
    "vitec/made_up_notification_incoming_lead.json": Heard(
        (("lead:vitec:LEA11385_5", None),), why="V15: it is shown with our lead, and is no record"
    ),
    # Vitec: writes
    "vitec/send_interest_and_contact_on_estate.json": Writes(
        "contact",
        want={
            "first_name": "sample string 1",
            "last_name": "sample string 2",
            "phone": "sample string 6",
            "email": "sample string 1",
            "strategy": "sample string 11",
            "tags": ("one", "two"),
        },
        present={"id": "sample string 7", "email": {"emailAddress2": "sample string 2"}, "categories": []},
        options=Options(
            customer_id="sample string 8",
            note="strategy",
            categories={"sample string 1": "one", "sample string 2": "two"},
            catalogue=(
                ("sample string 1", "One", False, "Person"),
                ("sample string 2", "Two", False, "Person"),
            ),
        ),
        inside="updatePerson",
        left=NOT_SENT_TO_VITEC | {"address": "C11"},
    ),
    "vitec/send_interest_and_contact_on_estate_curl.json": Writes(
        "contact",
        want={"first_name": "StringValue", "last_name": "StringValue"},
        present={"id": ADR, "type": "Person"},
        inside="updatePerson",
        left=NOT_SENT_TO_VITEC,
        ours=("customerId", "contactId"),  # the first is required, the second is D1
    ),
    "vitec/made_up_update_company.json": Writes(
        "company",
        want={
            "name": "Sjöstaden AB",
            "organisation_number": "556677-8899",
            "website": "https://sjostaden.example.se",
            "country": "se",
            "tags": ("vip",),
            "strategy": "Logistik",
        },
        present={
            "id": FIRM,
            "address": {
                "streetAddress": "Strandvägen 1",
                "zipCode": "114 51",
                "city": "Stockholm",
                "countryCode": "NO",
            },
            "categories": [],
        },
        left=NOT_SENT_TO_VITEC | {"email": "B10"},
    ),
    # Vitec: answers
    "vitec/contact_list.json": Answers(
        lambda vitec: vitec.changed(None), Changes([Reference("ADR…", "2026-10-04T10:38:07.966")], [], [])
    ),
    "vitec/made_up_categories.json": Answers(
        lambda vitec: vitec.categories(),
        [
            Category("K1", "VIP", False, "Person"),
            Category("K3", "", False, "Person"),
            Category("F1", "Leverantör", True, "Company"),
        ],
    ),
    "vitec/made_up_search.json": Answers(
        lambda vitec: vitec.search("asa.berg@example.se"), [Match(ADR, "Person"), Match(FIRM, "Company")]
    ),
    "vitec/made_up_update_answer.json": Answers(lambda vitec: vitec.update_person({"contactId": ADR}), ADR),
    "vitec/made_up_error_model_state.json": Answers(
        lambda vitec: vitec.update_person({"contactId": ADR}),
        raises=Rejected,
        refused="contact.FirstName",
        status=400,
    ),
    # Propstreet: records
    "propstreet/contact.json": contact_of(
        "789",
        fields={
            "first_name": None,
            "last_name": None,
            "email": None,
            "phone": None,
            "tags": ("string",),
            "strategy": None,
        },
        changed=datetime(2026, 5, 5, 17, 18, 39, 880000, tzinfo=UTC),
        created=datetime(2026, 5, 5, 17, 18, 39, 880000, tzinfo=UTC),
        etag="string",
        reference=None,
        labels=("string",),
    ),
    "propstreet/made_up_contact_missing_fields.json": contact_of(
        "790",
        fields={"last_name": "Berg"},
        changed=datetime(2026, 5, 18, 20, 22, 36, tzinfo=UTC),
        etag='W/"AAAAAAAAAAE="',
    ),
    "propstreet/made_up_contact_nulls.json": contact_of(
        "791",
        fields={
            "first_name": None,
            "last_name": None,
            "email": None,
            "phone": None,
            "tags": (),
            "strategy": None,
        },
        changed=None,
        reference=None,
    ),
    "propstreet/made_up_contact_new_fields.json": Reads(
        "contact",
        Content(
            "792",
            {
                "first_name": "Åsa",
                "last_name": "Berg",
                "email": "asa.berg@example.se",
                "phone": "+46701740605",
                "tags": ("vip",),
                "strategy": "Kontor i Oslo, 50-200 MNOK",
            },
            UPDATED,
            created=datetime(2026, 5, 5, 17, 18, 39, 880000, tzinfo=UTC),
            etag='W/"AAAAAAAAK0Q="',
            reference=ADR,
            flags=("blocked",),
            labels=("vip", "of-their-own"),
        ),
        new=("nickname", "consent", "scores"),
    ),
    "propstreet/made_up_contact_seven_digits.json": contact_of(
        "793",
        fields={"first_name": "Kari", "email": "kari@example.no"},
        changed=datetime(2026, 5, 18, 23, 59, 59, 999999, tzinfo=UTC),
        created=datetime(2026, 5, 5, 23, 59, 59, 999999, tzinfo=UTC),
        etag='W/"AAAAAAAAK0U="',
    ),
    "propstreet/made_up_contact_numbers_and_texts.json": contact_of(
        "794",
        fields={"first_name": "Ola"},
        changed=datetime(2026, 5, 18, 18, 22, 36, 959000, tzinfo=UTC),
        etag='W/"AAAAAAAAK0Y="',
        reference="1234",
    ),
    "propstreet/made_up_contact_old_external_id.json": Reads(
        "contact",
        Content("795", {"first_name": "Per", "email": "per@example.no"}, UPDATED, etag='W/"AAAAAAAAK0c="'),
        new=("externalId",),  # an old sample's key; externalRefs took its place
    ),
    "propstreet/made_up_contact_deleted.json": contact_of(
        "796",
        fields={"first_name": "Liv", "email": "liv@example.no"},
        changed=UPDATED,
        etag='W/"AAAAAAAAK0g="',
        removed=True,
        reference=ADR,
    ),
    "propstreet/made_up_contact_wrong_type.json": Refused("contact", "got `object` - at `$.email`"),
    "propstreet/made_up_company.json": Reads(
        "company",
        Content(
            "501",
            {
                "name": "Fjordeiendom AS",
                "organisation_number": "923 456 783",
                "country": "no",
                "website": "https://www.fjordeiendom.example.no/om-oss/",
                "tags": ("vip",),
                "strategy": "Logistikk, 100-400 MNOK",
            },
            UPDATED,
            created=datetime(2026, 5, 5, 17, 18, 39, 880000, tzinfo=UTC),
            etag='W/"AAAAAAAAK1Q="',
            reference=FIRM,
            domain="fjordeiendom.example.no",
            labels=("vip",),
        ),
    ),
    "propstreet/made_up_company_domain_only.json": Reads(
        "company",
        Content(
            "502",
            {"name": "Sjöstaden AB", "country": None},  # a domain is no website (W8)
            None,
            etag='"1"',
            domain="sjostaden.example.se",
        ),
    ),
    # Propstreet: deliveries
    "propstreet/made_up_webhook_contact_updated.json": Heard(
        (("contact:propstreet:792", None),),
        fields={
            "first_name": "Åsa",
            "last_name": "Berg",
            "email": "asa.berg@example.se",
            "phone": "+46701740605",
            "tags": ("vip",),
            "strategy": None,
        },
    ),
    "propstreet/made_up_webhook_contact_updated_event_key.json": Heard(
        (("contact:propstreet:792", None),), fields={"first_name": "Åsa"}
    ),
    "propstreet/made_up_webhook_contact_deleted.json": Heard(
        (("contact:propstreet:792", None),), fields={"first_name": "Åsa"}, removed=True
    ),
    "propstreet/made_up_webhook_contact_deleted_without_time.json": Heard(
        (("contact:propstreet:792", None),)
    ),
    "propstreet/made_up_webhook_contact_thin.json": Heard((("contact:propstreet:792", None),)),
    "propstreet/made_up_webhook_company_created.json": Heard(
        (("company:propstreet:501", None),),
        fields={
            "name": "Fjordeiendom AS",
            "organisation_number": "923456783",
            "country": "NO",
            "website": "https://fjordeiendom.example.no",
            "tags": (),
            "strategy": None,
        },
    ),
    "propstreet/made_up_webhook_link_created.json": Heard(
        (("link:propstreet:31", None),),
        fields={"job_title": "CFO"},
        parts={"contact": "792", "company": "501"},
    ),
    "propstreet/made_up_webhook_project_updated.json": Heard(
        (("project:propstreet:12", None),),
        fields={
            "name": "Hamnkontoret",
            "classification": "active",
            "price": "125000000 SEK",
            "status": "open",
            "stage": "communicated",
        },
    ),
    "propstreet/made_up_webhook_property_created.json": Heard(
        (("property:propstreet:41", None),),
        fields={
            "name": "Hamnkontoret",
            "location": "57.70716,11.96679",
            "categories": ("office",),
            "price": None,
        },
    ),
    "propstreet/made_up_webhook_prospect_whole.json": Heard(
        (("prospect:propstreet:77", None),),
        fields={"classification": "interested"},
        parts={"project": "12", "contact": "792"},
    ),
    "propstreet/made_up_webhook_etag_as_number.json": Heard((("contact:propstreet:792", None),)),
    # without etag and time it may be older than what is known: read it
    "propstreet/made_up_webhook_prospect_updated.json": PROSPECT,
    "propstreet/made_up_webhook_prospect_updated_event_key.json": PROSPECT,
    "propstreet/made_up_webhook_prospect_removed.json": PROSPECT,
    "propstreet/made_up_webhook_prospect_removed_at_the_top.json": PROSPECT,
    # Propstreet: writes
    "propstreet/contact_post.json": Writes(
        "contact",
        want={
            "first_name": "Jane",
            "last_name": "Smith",
            "email": "jane.smith@acme.com",
            "phone": "+46701234567",
            "tags": ("enterprise", "vip"),
            "strategy": "Focus on commercial real estate in Stockholm",
            "reference": "003ABC123",
        },
        options=msgspec.structs.replace(OPTIONS, reference_namespace="salesforce"),
        left={"primaryLanguage": "C13"},
    ),
    "propstreet/project_post.json": Writes(
        "project",
        want={"name": "Oslo Commercial Property", "reference": "OBJ11385_1395932274"},
    ),
    "propstreet/contact_upsert.json": Writes(
        "contact",
        want={"first_name": "John", "email": "john@work.com", "phone": "+46701234567"},
        left={"emails": "C13: the primary one alone is ours", "phones": "C13"},
        ours=("email", "phone"),
    ),
    "propstreet/contact_patch_email.json": Writes(
        "contact",
        want={"first_name": "Jane", "email": "newemail@example.com"},
        present={"id": "789", "firstName": "Jane", "email": "jane.smith@acme.com"},
    ),
    "propstreet/contact_patch_names_and_tags.json": Writes(
        "contact",
        want={"first_name": "Jane", "tags": ("decision-maker", "enterprise", "vip")},
        present={"id": "789", "firstName": "Janet", "tags": ["vip", "enterprise"]},
    ),
    "propstreet/contact_patch_nulls.json": Writes(
        "contact",
        want={"phone": None},
        present={"id": "789", "phone": "+46701234567", "primaryLanguage": "en"},
        left={"primaryLanguage": "C13"},
    ),
    "propstreet/made_up_company_post.json": Writes(
        "company",
        want={
            "name": "Fjordeiendom AS",
            "country": "no",
            "website": "fjordeiendom.example.no",
            "strategy": "Logistikk",
            "tags": ("vip",),
            "organisation_number": "923 456 783",
            "reference": FIRM,
        },
        left={"domain": "W1, W3: homepageUrl says it", "linkedInUrl": "B11"},
    ),
    # Propstreet: answers, and requests that are not about a record
    "propstreet/contact_page_empty.json": Answers(
        lambda propstreet: propstreet.page("contact", updated_since=None, cursor=None), Page([], None)
    ),
    "propstreet/made_up_page_numbers_as_strings.json": Answers(
        lambda propstreet: propstreet.page("contact", updated_since=None, cursor=None),
        Page([b'{"id": "790", "updatedUtc": "2026-05-18T20:22:36Z"}'], "eyJ1IjoiMjAyNiIsImkiOjF9"),
    ),
    "propstreet/made_up_page_top_level.json": Answers(
        lambda propstreet: propstreet.page("contact", updated_since=None, cursor=None),
        Page([b'{"id": "790", "updatedUtc": "2026-05-18T20:22:36Z"}'], None),
    ),
    "propstreet/problem_validation.json": Answers(
        lambda propstreet: propstreet.patch("contact", "789", {"email": "x"}, 'W/"1"'),
        raises=Rejected,
        refused="email",
        status=400,
    ),
    "propstreet/problem_too_many_requests.json": Answers(
        lambda propstreet: propstreet.read("contact", "789"), raises=RateLimited, status=429
    ),
    "propstreet/problem_conflict.json": Answers(
        lambda propstreet: propstreet.patch("contact", "789", {"email": "x"}, 'W/"1"'),
        raises=Stale,
        status=409,
    ),
    "propstreet/webhook_registration.json": Asks(
        lambda propstreet: propstreet.register_webhook(
            "https://your-server.com/webhooks/propstreet",
            ["contact.created", "contact.updated", "contact.deleted"],
            "CRM Sync Webhook",
        ),
        b'{"id": "1", "secret": "whsec_AAAA"}',
    ),
    "propstreet/webhook_replay_request.json": Asks(
        lambda propstreet: propstreet.replay_webhook("1", "2026-01-01T00:00:00Z"), b'{"replayed_count": 0}'
    ),
    "propstreet/webhook_replay_answer.json": Answers(
        lambda propstreet: propstreet.replay_webhook("1", "2026-01-01T00:00:00Z"), 15
    ),
    "propstreet/webhook_test_request.json": Unused("the daemon does not ask for test deliveries yet"),
    "propstreet/webhook_test_answer.json": Unused("the daemon does not ask for test deliveries yet"),
    "propstreet/action_note.json": Unused("N17: read as a list; the note's mapping has tests of its own"),
    "propstreet/action_audit.json": Unused("N17: actions are not read; etags and webhooks tell of an edit"),
}

RECORDS: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("vitec", "contact"): VitecPerson,
    ("vitec", "company"): VitecCompany,
    ("propstreet", "contact"): PropstreetContact,
    ("propstreet", "company"): PropstreetCompany,
}

NOT_READ = {
    "vitec": {
        "customerId": "a tenant is one customer",
        "agentId": "C11",
        "leadScore": "C11",
        "wantsToBeMatched": "C11",
        "matchingChangedAt": "C11",
        "address": "C11",
        "advertisingEnabled": "G9",
        "gdprApprovalDate": "G9",
        "socialSecurityNumber": "G7",
        "isForeignSocialSecurityNumber": "G7",
        "isForeignIdSocialSecurityNumber": "G7",
        "dateOfBirth": "G7",
        "isCompanyPerson": "K4",
        "isForeignCorporateNumber": "B2",
        "telephone": "B10",
        "email": "B10",
        "name": "C15",
    },
    "propstreet": {
        "uri": "a link into Propstreet's own screens",
        "linkedInUrl": "C13, B11",
        "emails": "C13",
        "phones": "C13",
        "primaryLanguage": "C13",
        "primaryCompanyId": "K3",
        "companies": "K1",
        "contacts": "K1",
        "profilePictureUrl": "I4",
        "changeType": "labels history only",
        "changeOrigin": "labels history only",
    },
}
"""Top-level keys of a record that no mapping reads, with the rule or the reason."""


def sample(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def vendor_of(name: str) -> str:
    return name.partition("/")[0]


def of_kind(kind: type) -> pytest.MarkDecorator:
    found = {name: expected for name, expected in TABLE.items() if isinstance(expected, kind)}
    return pytest.mark.parametrize(("name", "expected"), found.items(), ids=found.keys())


def decoded(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


def stored(new: NewEvent, position: int = 1) -> Event:
    """The event as the log would hold it."""
    return Event(
        position,
        new.event_id,
        new.stream,
        1,
        new.type,
        1,
        new.origin,
        new.occurred_at,
        RECEIVED,
        new.causation_id,
        new.correlation_id,
        new.data.decode(),
        None if new.meta is None else new.meta.decode(),
    )


def observed(stream: str, raw: bytes) -> Event:
    """A record as a poll found it."""
    event_id = derived_id(TENANT, stream)
    vendor = stream.split(":")[1]
    return stored(
        NewEvent(
            event_id,
            stream,
            OBSERVED,
            vendor,
            RECEIVED,
            without_national_ids(raw),
            event_id,
            meta=encode(Reading(via="poll", started=0)),
        )
    )


def folded(events: list[Event]) -> dict[str, Side]:
    """The side of each record after the events."""
    entities = Entities(TENANT, OPTIONS)
    for event in events:
        entities.evolve(event)
    return {
        record_stream(category, vendor, record): entities.by_id[name].sides[vendor]
        for (category, vendor, record), name in entities.by_record.items()
    }


def values(side: Side) -> dict[str, Value]:
    return {field: held.value for field, held in side.shadow.items()}


def deliver(name: str, body: bytes, query: Mapping[str, str] | None = None) -> list[NewEvent]:
    """The events of a delivery, as the open port would append them where nothing is configured."""
    if vendor_of(name) == "vitec":
        return vitec_notifications.events_of(
            TENANT,
            UUID(int=1),
            body,
            query or {},
            RECEIVED,
            store_national_ids=False,
            estate_types=SyncSettings().estate_types,
        )
    return [
        propstreet_webhooks.event_of(TENANT, "msg_1", body, RECEIVED, test=False, store_national_ids=False)
    ]


# The folder


def test_the_table_names_every_sample_and_no_other() -> None:
    samples = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.json")}
    # leads have a table of their own in test_leads.py
    assert {name for name in samples if vendor_of(name) != "leads"} == TABLE.keys()


def test_the_index_names_every_sample() -> None:
    sections = (FOLDER / "README.md").read_text().split("\n## ")
    index = {section.partition("/")[0]: section for section in sections}
    assert [name for name in TABLE if f"| `{Path(name).name}` |" not in index[vendor_of(name)]] == []


# Records


@of_kind(Reads)
def test_a_record_is_read(name: str, expected: Reads) -> None:
    assert lens(vendor_of(name), expected.category).get(sample(name), OPTIONS) == expected.content


@of_kind(Reads)
def test_every_key_of_a_record_is_read_or_left_out_for_a_reason(name: str, expected: Reads) -> None:
    vendor = vendor_of(name)
    read = {field.encode_name for field in msgspec.structs.fields(RECORDS[vendor, expected.category])}
    unexplained = decoded(sample(name)).keys() - read - NOT_READ[vendor].keys()
    assert unexplained == set(expected.new)


@of_kind(Reads)
def test_a_record_is_folded_into_what_was_read(name: str, expected: Reads) -> None:
    stream = record_stream(expected.category, vendor_of(name), expected.content.external_id)
    side = folded([observed(stream, sample(name))])[stream]
    assert values(side) == expected.content.fields
    assert side.flags == expected.content.flags
    assert side.reference == (expected.content.reference or None)
    assert (side.gone is not None) == expected.content.removed
    assert side.head.time == (expected.content.changed or RECEIVED)


@of_kind(Reads)
def test_a_record_keeps_every_byte_but_the_national_ids(name: str, expected: Reads) -> None:
    kept, sent = without_national_ids(sample(name)), sample(name)
    secrets = {"socialSecurityNumber": None, "dateOfBirth": None}
    present = decoded(sent)
    assert decoded(kept) == present | {key: none for key, none in secrets.items() if key in present}
    assert kept == sent or present.keys() & secrets.keys()


@of_kind(Refused)
def test_a_record_that_cannot_be_read_says_where_and_is_kept(name: str, expected: Refused) -> None:
    vendor = vendor_of(name)
    with pytest.raises(UntranslatablePayload) as refusal:
        lens(vendor, expected.category).get(sample(name), OPTIONS)
    assert expected.why in str(refusal.value)
    stream = record_stream(expected.category, vendor, "1")
    event = observed(stream, sample(name))
    side = folded([event])[stream]
    assert side.unreadable == event.position
    assert event.data.encode() == sample(name)


# Deliveries


@of_kind(Heard)
def test_a_delivery_becomes_events_of_the_records_that_it_names(name: str, expected: Heard) -> None:
    events = [stored(new) for new in deliver(name, sample(name))]
    assert tuple((event.stream, reading_of(event).kind) for event in events) == expected.streams
    assert {event.type for event in events} == {NOTIFIED if expected.fields is None else OBSERVED}
    assert {event.data.encode() for event in events} == {sample(name)}
    names = parse_record_stream(events[0].stream)
    assert bool(expected.why) == (names is None or names[0] not in CATEGORIES)


@of_kind(Heard)
def test_a_delivery_is_folded_into_content_or_into_a_need_to_read(name: str, expected: Heard) -> None:
    events = [stored(new, position) for position, new in enumerate(deliver(name, sample(name)), 1)]
    sides = folded(events)
    if expected.why:
        assert sides == {}
        return
    assert sides.keys() == {stream for stream, _ in expected.streams}
    for event in events:
        side = sides[event.stream]
        assert side.need == (event.position if expected.fields is None else None)
        assert values(side) == (expected.fields or {})
        assert side.parts == expected.parts
        assert (side.gone is not None) == expected.removed
        if expected.fields is not None:
            assert side.head.time == UPDATED


@pytest.mark.parametrize(
    "name", [n for n, expected in TABLE.items() if expected in (PERSON, COMPANY, MERGED, SPECULATOR, NOTED)]
)
def test_the_query_alone_tells_the_same(name: str) -> None:
    # the vendor repeats its flat values there; the ids of a merge's sources stand in the body only
    body = decoded(sample(name))
    query = {key: value for key, value in body.items() if isinstance(value, str) and key != "destinationId"}
    told = [event.stream for event in deliver(name, b"", query)]
    assert told == [event.stream for event in deliver(name, sample(name))][:1]


# Writes


@of_kind(Writes)
def test_what_we_send_has_the_samples_keys_and_values(name: str, expected: Writes) -> None:
    whole = decoded(sample(name))
    printed = whole[expected.inside] if expected.inside else whole
    present = None if expected.present is None else msgspec.json.encode(expected.present)
    patch = lens(vendor_of(name), expected.category).put(dict(expected.want), present, expected.options)
    assert patch.holds == ()
    ours = {key: value for key, value in patch.body.items() if key not in expected.ours}
    assert patch.body.keys() - ours.keys() == set(expected.ours)
    assert in_order(ours) == in_order({k: v for k, v in printed.items() if k not in expected.left})


def in_order(body: dict[str, Any]) -> dict[str, Any]:
    """Tags are a set: their order says nothing."""
    return {key: sorted(value) if key == "tags" else value for key, value in body.items()}


# Answers and requests, through the real clients


class Vendor:
    """A vendor that gives one answer to everything but a token request, and remembers what it was asked."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.asked: list[bytes] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/openid/token":
            return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
        self.asked.append(await request.read())
        headers = {"Retry-After": "12"} if self.status == 429 else {}
        return web.Response(
            body=self.body, status=self.status, headers=headers, content_type="application/json"
        )


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    await vendor.server.start_server()
    yield vendor
    await vendor.server.close()


@pytest.fixture
async def clients(vendor: Vendor) -> AsyncIterator[dict[str, VitecConnectClient | PropstreetClient]]:
    address, limiter = str(vendor.server.make_url("")), Limiter([], 8)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield {
            "vitec": VitecConnectClient(session, address, "M11385", "1234", "password", limiter),
            "propstreet": PropstreetClient(session, address, "client", "s3cret", limiter),
        }


@of_kind(Answers)
async def test_an_answer_is_understood(
    name: str, expected: Answers, vendor: Vendor, clients: dict[str, Any]
) -> None:
    vendor.body, vendor.status = sample(name), expected.status
    if expected.raises is None:
        assert await expected.call(clients[vendor_of(name)]) == expected.result
        return
    with pytest.raises(VendorError) as refusal:
        await expected.call(clients[vendor_of(name)])
    assert type(refusal.value) is expected.raises
    assert getattr(refusal.value, "reason", "") == expected.refused
    assert getattr(refusal.value, "retry_after", 12.0) == 12.0


async def test_a_conflict_means_something_else_to_a_create(vendor: Vendor, clients: dict[str, Any]) -> None:
    vendor.body, vendor.status = sample("propstreet/problem_conflict.json"), 409
    with pytest.raises(Duplicate):
        await clients["propstreet"].create("company", {"name": "Fjord AS"}, reference=None, key="k")


@of_kind(Asks)
async def test_a_request_is_sent_as_the_vendor_prints_it(
    name: str, expected: Asks, vendor: Vendor, clients: dict[str, Any]
) -> None:
    vendor.body = expected.answer
    await expected.call(clients[vendor_of(name)])
    assert [decoded(body) for body in vendor.asked] == [decoded(sample(name))]


@of_kind(Unused)
def test_a_sample_without_a_use_says_why(name: str, expected: Unused) -> None:
    assert expected.why
    assert decoded(sample(name))
