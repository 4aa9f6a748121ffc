"""The table of what each product of Vitec can do says the whole truth, and the daemon keeps to it."""

from typing import Any, get_args

import pytest
from msgspec.structs import asdict, replace

from daemon.app import warnings
from daemon.cli.states import WIDTH, capability_lines
from daemon.domain.capabilities import CAPABILITIES, NOT_AT_THE_HUB, available
from daemon.domain.settings import (
    Product,
    PropstreetSettings,
    Secret,
    Settings,
    SyncSettings,
    TenantSettings,
    VitecSettings,
)
from daemon.domain.streams import CATEGORIES
from daemon.policies.plan import direction
from daemon.processor import options_of

every_product = pytest.mark.parametrize("product", get_args(Product))


def tenant(product: Product) -> TenantSettings:
    secret = Secret("a secret of the test")
    return TenantSettings(
        name="oslo",
        vitec=VitecSettings(
            product=product, customer_id="M1", username="u", password=secret, webhook_secret=secret
        ),
        propstreet=PropstreetSettings(client_id="c", client_secret=secret, webhook_secret=secret),
        sync=SyncSettings(note="activity", categories={"Investor": "investor"}),
    )


@every_product
def test_every_category_is_declared_with_a_reason(product: Product) -> None:
    table = CAPABILITIES[product]
    assert tuple(table) == (*CATEGORIES, "lead", "picture")
    for can in table.values():
        assert can.read in ("yes", "not_readable")
        assert can.write in ("yes", "not_writable")
        assert can.why


def test_what_the_hub_does_not_describe_is_not_available() -> None:
    for category, can in CAPABILITIES["hub"].items():
        if category != "project":
            assert (can.read, can.write) == ("not_readable", "not_writable")
            assert can.why.startswith(NOT_AT_THE_HUB)
    assert (CAPABILITIES["hub"]["project"].read, CAPABILITIES["hub"]["project"].write) == (
        "yes",
        "not_writable",
    )


def test_pictures_go_nowhere_and_both_reasons_are_told() -> None:  # I2, I3, I4
    why = CAPABILITIES["connect"]["picture"].why
    assert "not available at Vitec Connect" in why
    assert "no documented upload at Propstreet" in why


def test_a_tenant_of_connect_keeps_its_settings() -> None:
    assert available(tenant("connect")) == tenant("connect")


def test_a_tenant_of_the_hub_syncs_projects_alone_and_takes_no_notification() -> None:
    asked = tenant("hub")
    kept = available(asked)
    directions = {category: direction(kept.sync, category) for category in CATEGORIES}
    assert {category for category, word in directions.items() if word != "off"} == {"project", "property"}
    assert kept.vitec.webhook_secret is None
    assert options_of(kept) == options_of(asked)


def test_what_was_off_stays_off() -> None:
    asked = tenant("hub")
    off = replace(asked, sync=replace(asked.sync, projects="off"))
    assert available(off).sync.projects == "off"


def test_the_operator_is_warned_of_a_hub_tenant_and_not_of_what_it_cannot_have() -> None:
    asked = tenant("hub")
    bare = replace(asked, vitec=replace(asked.vitec, webhook_secret=None))
    found = [line for line in warnings(Settings(tenants=(bare,))) if "oslo" in line]
    assert len(found) == 1
    assert "only estates are read" in found[0]


@every_product
def test_the_table_fits_a_terminal(product: Product) -> None:
    table: dict[str, Any] = {category: asdict(can) for category, can in CAPABILITIES[product].items()}
    lines = capability_lines(table)
    assert max(map(len, lines)) <= WIDTH
    told = " ".join(" ".join(lines).split())
    assert all(category in told for category in table)
