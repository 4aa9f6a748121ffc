"""The sections of the configuration file, each from its table to its Struct. The defaults stand there."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from daemon.config.table import Table
from daemon.config.values import (
    Reader,
    any_text,
    dsn_text,
    duration,
    flag,
    integer,
    new_from_propstreet,
    one_of,
    path_secret,
    percent,
    signing_secret,
    some_of,
    tenant_name,
    text,
    texts,
    token,
    url,
)
from daemon.domain.settings import (
    ESTATE_STATUSES,
    ESTATE_TYPES,
    FIELDS,
    INTEREST_LEVELS,
    PROPSTREET_LIMITS,
    VITEC,
    VITEC_LIMITS,
    Authority,
    Brake,
    Credential,
    DatabaseSettings,
    Direction,
    FirstSync,
    HttpSettings,
    Limits,
    MatchNamePhone,
    Mode,
    Note,
    OnDelete,
    Product,
    ProjectClassification,
    PropstreetSettings,
    ProspectClassification,
    Removal,
    SyncSettings,
    TenantSettings,
    VitecSettings,
)

AUTHORITY_KEYS = tuple(f"{category}.{field}" for category, fields in FIELDS.items() for field in fields)

LIMIT_READERS: dict[str, Reader] = {
    "per_second": integer(0),
    "per_minute": integer(0),
    "per_hour": integer(0),
    "concurrency": integer(1),
}

VITEC_READERS: dict[str, Reader] = {
    "product": one_of(Product),
    "base_url": url,
    "customer_id": text,
    "username": text,
    "poll_interval": duration,
}

PROPSTREET_READERS: dict[str, Reader] = {"base_url": url, "client_id": text, "poll_interval": duration}

SYNC_READERS: dict[str, Reader] = {
    **dict.fromkeys(("contacts", "companies", "projects", "prospects"), one_of(Direction)),
    "first_sync": one_of(FirstSync),
    "new_from_propstreet": new_from_propstreet,
    "external_ref_namespace": text,
    "organisation_number_namespace": text,
    "match_name_phone": one_of(MatchNamePhone),
    "note": one_of(Note),
    "note_keywords": texts,
    "estate_types": some_of(ESTATE_TYPES),
    "new_prospect_status": one_of(Literal["hold", "Assigned"]),
    "sensitive_business": one_of(Literal["hold", "push"]),
    "store_national_ids": flag,
    "empty_country": one_of(Literal["unset", "SE"]),
    "website_custom_field": any_text,
    "signatory_links": flag,
    "viewing_means_interested": flag,
    "prospect_removed": one_of(Literal["hold", "not_interested"]),
    "project_status_writes": flag,
    "clear_by_empty_string": flag,
    "reconcile_interval": duration,
}


def mode(top: Table) -> dict[str, Mode]:
    """The key above all tables, when it is given."""
    return top.given({"mode": one_of(Mode)})


def database(top: Table) -> DatabaseSettings:
    """[database]; `migrate_dsn` is `dsn` when left out."""
    with top.table("database") as table:
        dsn = table.secret("dsn", dsn_text, always=True)
        migrate_dsn = table.secret("migrate_dsn", dsn_text, always=True)
        if migrate_dsn and not dsn and table.data.keys().isdisjoint(("dsn", "dsn_file")):
            table.report("migrate_dsn", "stands without dsn (write both, or neither)")
        given = table.given({"data_dir": table.source.directory})
    return DatabaseSettings(dsn=dsn, migrate_dsn=migrate_dsn or dsn, **given)


def http(top: Table) -> HttpSettings:
    """[http]."""
    with top.table("http") as table:
        given = table.given({"host": text, "port": integer(0, 65_535), "public_url": url})
        return HttpSettings(lead_token=table.secret("lead_token", token), **given)


def tenants(top: Table) -> tuple[TenantSettings, ...]:
    """[[tenants]], each by itself and then beside the others."""
    read = []
    for table in top.tables("tenants"):
        with table:
            read.append((table, _tenant(table)))
    _compare(read)
    return tuple(tenant for _, tenant in read)


def _compare(read: Sequence[tuple[Table, TenantSettings]]) -> None:
    """No two tenants have one name, or one customer of Vitec Connect, by which leads find their tenant.

    Of those with one organisation at Propstreet none takes in all that is new there.
    """
    names: set[str] = set()
    organisations = Counter(_organisation(tenant) for _, tenant in read)
    customers = Counter(_customer(tenant) for _, tenant in read)
    for table, tenant in read:
        if tenant.name and tenant.name in names:
            table.report("name", "is the name of two tenants (write another)")
        names.add(tenant.name)
        shared = tenant.propstreet.client_id and organisations[_organisation(tenant)] > 1
        customer = _customer(tenant)
        if customer is not None and customers[customer] > 1:
            table.report("vitec.customer_id", "is the customer of two tenants (keep one of them)")
        if shared and tenant.sync.new_from_propstreet == "create":
            problem = '"create" and another tenant has this Propstreet organisation too'
            table.report("sync.new_from_propstreet", f'{problem} (write "hold" or {{ tag = ".." }})')


def _customer(tenant: TenantSettings) -> str | None:
    """The customer of Vitec Connect; the Hub's installations are another thing, and take no leads."""
    vitec = tenant.vitec
    return vitec.customer_id if vitec.product == "connect" and vitec.customer_id else None


def _organisation(tenant: TenantSettings) -> tuple[str, str]:
    return tenant.propstreet.base_url.lower(), tenant.propstreet.client_id


def _tenant(table: Table) -> TenantSettings:
    return TenantSettings(
        **table.given({"name": tenant_name}, required=("name",)),
        vitec=_vitec(table),
        propstreet=_propstreet(table),
        sync=_sync(table),
    )


def _vitec(tenant: Table) -> VitecSettings:
    with tenant.table("vitec", required=True) as table:
        given = table.given(VITEC_READERS, required=("customer_id", "username"))
        given.setdefault("base_url", VITEC[given.get("product", "connect")])
        return VitecSettings(
            **given,
            password=table.required_secret("password"),
            credentials=_credentials(table),
            webhook_secret=table.secret("webhook_secret", path_secret),
            limits=_limits(table, VITEC_LIMITS),
        )


def _credentials(vitec: Table) -> dict[str, Credential]:
    credentials = {}
    with vitec.table("credentials") as groups:
        for group in groups.data:
            with groups.table(group) as table:
                username = table.given({"username": text}, required=("username",))["username"]
                credentials[group] = Credential(username=username, password=table.required_secret("password"))
    return credentials


def _propstreet(tenant: Table) -> PropstreetSettings:
    with tenant.table("propstreet", required=True) as table:
        return PropstreetSettings(
            **table.given(PROPSTREET_READERS, required=("client_id",)),
            client_secret=table.required_secret("client_secret"),
            webhook_secret=table.secret("webhook_secret", signing_secret),
            limits=_limits(table, PROPSTREET_LIMITS),
        )


def _limits(vendor: Table, default: Limits) -> Limits:
    with vendor.table("limits") as table:
        return replace(default, **table.given(LIMIT_READERS))


def _sync(tenant: Table) -> SyncSettings:
    default = SyncSettings()
    with tenant.table("sync") as table:
        return replace(
            default,
            **table.given(SYNC_READERS),
            categories=table.mapping("categories", text),
            company_categories=table.mapping("company_categories", text),
            statuses=table.mapping("statuses", one_of(ProjectClassification), ESTATE_STATUSES),
            levels=table.mapping("levels", one_of(ProspectClassification), INTEREST_LEVELS),
            authority=table.mapping("authority", one_of(Authority), AUTHORITY_KEYS),
            on_delete=_on_delete(table),
            delete_brake=_brake(table, "delete_brake", default.delete_brake),
            change_brake=_brake(table, "change_brake", default.change_brake),
        )


def _on_delete(sync: Table) -> OnDelete:
    with sync.table("on_delete") as table:
        return OnDelete(**table.given(dict.fromkeys(OnDelete.__struct_fields__, one_of(Removal))))


def _brake(sync: Table, key: str, default: Brake) -> Brake:
    with sync.table(key) as table:
        return replace(default, **table.given({"count": integer(0), "percent": percent}))
