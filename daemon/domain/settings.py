"""What an operator may set, as frozen Structs with their defaults; `daemon.config` reads them from a file.

Durations are seconds, paths are absolute, addresses have no trailing slash, what is left out is None.
The order of the Structs is the order of the configuration file.
"""

from typing import Literal

from msgspec import Struct

Mode = Literal["live", "observe"]
Product = Literal["connect", "hub"]
Direction = Literal["both", "to_propstreet", "to_vitec", "off"]
FirstSync = Literal["wait", "now"]
MatchNamePhone = Literal["auto", "hold"]
Note = Literal["strategy", "activity", "keyword", "off"]
ProjectClassification = Literal["draft", "active", "inactive"]
ProspectClassification = Literal["not_contacted", "contacted", "interested", "not_interested", "bidder"]
Removal = Literal["keep", "hold", "propagate"]
Authority = Literal["latest", "vitec", "propstreet"]

PROPSTREET = "https://app.propstreet.com"
"""Propstreet's only public host."""

VITEC = {"connect": "https://connect.maklare.vitec.net", "hub": "https://hub.megler.vitec.net"}
"""The production host of each Vitec product."""


class Secret(Struct, frozen=True):
    """A text that no log line, traceback or error shows; `reveal` gives it to the one place that sends it."""

    text: str

    def reveal(self) -> str:
        """The text itself."""
        return self.text

    def __repr__(self) -> str:
        return "***"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # msgspec's own would show the text
        return [("text", "***")]


class Limits(Struct, frozen=True, kw_only=True):
    """The windows of one vendor credential in requests (0 lifts one), and how many may be in flight."""

    per_second: int = 20
    per_minute: int = 600
    per_hour: int = 10_800
    concurrency: int


VITEC_LIMITS = Limits(concurrency=5)
PROPSTREET_LIMITS = Limits(concurrency=8)


class DatabaseSettings(Struct, frozen=True, kw_only=True):
    """Where the log lives: a PostgreSQL `dsn`, or without one an embedded PostgreSQL under `data_dir`."""

    dsn: Secret | None = None
    migrate_dsn: Secret | None = None
    """What `toveis migrate` connects with: the same as `dsn` when left out."""
    data_dir: str = "/var/lib/toveis"


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Where the daemon listens, the address the vendors reach it at, and the token that guards /lead."""

    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str | None = None
    lead_token: Secret | None = None


class Credential(Struct, frozen=True, kw_only=True):
    """One user of Vitec's API: a user name and its password."""

    username: str
    password: Secret


class VitecSettings(Struct, frozen=True, kw_only=True):
    """One Vitec customer; at the Hub `customer_id` is the installation id."""

    product: Product = "connect"
    base_url: str = VITEC["connect"]
    customer_id: str
    username: str
    password: Secret
    credentials: dict[str, Credential] = {}
    """By function group, where one has a user of its own."""
    webhook_secret: Secret | None = None
    """The last part of the path that notifications come to; without one none is accepted."""
    poll_interval: float = 60.0
    limits: Limits = VITEC_LIMITS


class PropstreetSettings(Struct, frozen=True, kw_only=True):
    """One Propstreet organisation, known by its machine client."""

    base_url: str = PROPSTREET
    client_id: str
    client_secret: Secret
    webhook_secret: Secret | None = None
    """`whsec_` and base64; left out, the daemon registers a webhook of its own."""
    poll_interval: float = 60.0
    limits: Limits = PROPSTREET_LIMITS


class OnlyTagged(Struct, frozen=True):
    """`new_from_propstreet = { tag = ".." }`: only new records that carry this tag are created at Vitec."""

    tag: str


class OnDelete(Struct, frozen=True, kw_only=True):
    """What a removal at Vitec does to the record at Propstreet."""

    contacts: Removal = "keep"
    companies: Removal = "keep"
    projects: Removal = "keep"
    prospects: Removal = "propagate"


class Brake(Struct, frozen=True, kw_only=True):
    """A batch larger than the greater of `count` records and `percent` of the linked ones is held."""

    count: int
    percent: float


class SyncSettings(Struct, frozen=True, kw_only=True):
    """How one tenant's two sides are kept the same. Rule ids stand in docs/mapping-rules.md."""

    contacts: Direction = "both"
    companies: Direction = "both"
    projects: Direction = "both"
    prospects: Direction = "both"
    first_sync: FirstSync = "wait"
    new_from_propstreet: Literal["create", "hold"] | OnlyTagged = "create"
    external_ref_namespace: str = "vitec-next"
    organisation_number_namespace: str = "organization-number"
    match_name_phone: MatchNamePhone = "auto"
    note: Note = "off"
    note_keywords: tuple[str, ...] = ("MNOK", "MSEK", "söker", "kjøper")
    categories: dict[str, str] = {}
    """Vitec category (id or name) to Propstreet tag, for persons, in the file's order (T1)."""
    company_categories: dict[str, str] = {}
    estate_types: tuple[str, ...] = ("CommercialProperty", "Project")
    statuses: dict[str, ProjectClassification] = {}
    """Vitec estate status to project classification, over the table of S1 to S22."""
    levels: dict[str, ProspectClassification] = {}
    """Vitec interest level to prospect classification, over the table of L1 to L14."""
    new_prospect_status: Literal["hold", "Assigned"] = "hold"
    sensitive_business: Literal["hold", "push"] = "hold"
    store_national_ids: bool = False
    empty_country: Literal["unset", "SE"] = "unset"
    website_custom_field: str = ""
    signatory_links: bool = False
    viewing_means_interested: bool = False
    prospect_removed: Literal["hold", "not_interested"] = "hold"
    project_status_writes: bool = False
    clear_by_empty_string: bool = False
    on_delete: OnDelete = OnDelete()
    authority: dict[str, Authority] = {}
    """`contact.email` and the like to the side that wins a conflict; a field that is not here: the latest."""
    delete_brake: Brake = Brake(count=10, percent=1.0)
    change_brake: Brake = Brake(count=200, percent=20.0)
    reconcile_interval: float = 86_400.0


class TenantSettings(Struct, frozen=True, kw_only=True):
    """One pairing of a Vitec customer with a Propstreet organisation."""

    name: str
    vitec: VitecSettings
    propstreet: PropstreetSettings
    sync: SyncSettings = SyncSettings()


class Settings(Struct, frozen=True, kw_only=True):
    """The whole configuration."""

    mode: Mode = "live"
    database: DatabaseSettings = DatabaseSettings()
    http: HttpSettings = HttpSettings()
    tenants: tuple[TenantSettings, ...] = ()


FIELDS: dict[str, tuple[str, ...]] = {
    "contact": ("first_name", "last_name", "email", "phone", "tags", "strategy"),
    "company": ("name", "organisation_number", "country", "website", "tags", "strategy"),
    "project": ("name", "classification", "price"),
    "prospect": ("classification",),
}
"""The fields of each category that `authority` may name."""

ESTATE_TYPES = (
    "House",
    "HousingCooperative",
    "Cottage",
    "Plot",
    "Project",
    "Farm",
    "CommercialProperty",
    "Condominium",
    "ForeignProperty",
    "Premises",
)
"""Vitec's estate types (EstateTypeCriteria)."""

ESTATE_STATUSES = (
    *(
        "AssignmentAttempt",
        "Coming",
        "SoonForSale",
        "ForSale",
        "Paused",
        "Resting",
        "Sold",
        "AssignmentAccepted",
    ),
    *(
        "PreSale",
        "Advantage",
        "NoAssignment",
        "AssignmentWithdrawn",
        "NotForSale",
        "ReservedNotForSale",
        "Booked",
    ),
    *("SoldReferenceObject", "AppointedAdmission", "ReadyForRent", "TentativelyRented", "Rented"),
    *("ReservedNotForRental", "Undefined", "Upcoming", "Ongoing", "Running", "SoldOut", "Soldout"),
    *("SoldoutReferenceProject",),
)
"""Vitec's estate statuses, as notifications and as lists spell them (S1 to S22)."""

INTEREST_LEVELS = (
    *("Reserved", "Booked", "ParticipateInBidding", "OnHoldInBidding", "FollowingBidding", "VeryInterested"),
    *("BeenAtOrComingToViewing", "Interested", "Assigned", "NotInterested", "Archived"),
)
"""Vitec's interest levels as they are read (L1 to L11)."""
