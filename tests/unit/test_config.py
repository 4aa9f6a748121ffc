from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from daemon import config
from daemon.config import sections
from daemon.config.values import Reader
from daemon.domain.errors import ConfigError
from daemon.domain.settings import (
    Brake,
    Credential,
    Limits,
    OnDelete,
    OnlyTagged,
    PropstreetSettings,
    Secret,
    Settings,
    SyncSettings,
    VitecSettings,
)

SMALLEST = """
[[tenants]]
name = "oslo"
[tenants.vitec]
customer_id = "M11385"
username = "1234"
password = "vitec-hush"
[tenants.propstreet]
client_id = "client"
client_secret = "propstreet-hush"
"""

EVERY_KEY = """
mode = "observe"

[database]
dsn = "postgresql://toveis@db/toveis"
migrate_dsn = "postgresql://owner@db/toveis"
data_dir = "state"

[http]
host = "0.0.0.0"
port = 8081
public_url = "https://sync.example.no/"
lead_token = "lead-hush"

[[tenants]]
name = "oslo"

[tenants.vitec]
product = "connect"
base_url = "https://connect.example.se"
customer_id = "M11385"
username = "1234"
password = "vitec-hush"
credentials = { "CRM-Contact" = { username = "5678", password = "group-hush" } }
webhook_secret = "a-path-nobody-guesses"
poll_interval = "250ms"
limits = { per_second = 1, per_minute = 2, per_hour = 3, concurrency = 4 }

[tenants.propstreet]
base_url = "https://app.example.com"
client_id = "client"
client_secret = "propstreet-hush"
webhook_secret = "whsec_aHVzaGh1c2hodXNoaHVzaA=="
poll_interval = "5m"
limits = { per_hour = 100 }

[tenants.sync]
contacts = "to_vitec"
companies = "to_propstreet"
projects = "off"
prospects = "both"
first_sync = "now"
new_from_propstreet = { tag = "oslo" }
external_ref_namespace = "vitec"
organisation_number_namespace = "orgno"
match_name_phone = "hold"
note = "keyword"
note_keywords = ["MEUR"]
categories = { "Kjøper" = "buyer", "Investor" = "investor" }
company_categories = { "VIP" = "vip" }
estate_types = ["Premises"]
statuses = { "NoAssignment" = "inactive" }
levels = { "FollowingBidding" = "bidder", "Archived" = "not_interested" }
new_prospect_status = "Assigned"
sensitive_business = "push"
store_national_ids = true
empty_country = "SE"
website_custom_field = "Website"
signatory_links = true
viewing_means_interested = true
prospect_removed = "not_interested"
project_status_writes = true
clear_by_empty_string = true
on_delete = { contacts = "hold", companies = "propagate", projects = "hold", prospects = "keep" }
authority = { "contact.email" = "vitec", "company.website" = "propstreet", "contact.phone" = "latest" }
delete_brake = { count = 1, percent = 2.5 }
change_brake = { count = 3, percent = 4 }
reconcile_interval = "1.5h"
"""


def parse(text: str | bytes, base_dir: Path = Path("/srv"), **env: str) -> Settings:
    return config.parse(text, env, base_dir)


def problems(text: str | bytes, base_dir: Path = Path("/srv"), **env: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        parse(text, base_dir, **env)
    return raised.value.problems


def with_sync(line: str) -> str:
    return f"{SMALLEST}[tenants.sync]\n{line}\n"


# --- What is read ---


def test_the_smallest_configuration_takes_every_default() -> None:
    settings = parse(SMALLEST)
    tenant = settings.tenants[0]
    assert (settings.mode, settings.http.host, settings.http.port) == ("live", "127.0.0.1", 8080)
    assert settings.database.dsn is None
    assert settings.database.data_dir == "/var/lib/toveis"
    assert tenant.vitec == VitecSettings(
        base_url="https://connect.maklare.vitec.net",
        customer_id="M11385",
        username="1234",
        password=Secret("vitec-hush"),
        limits=Limits(per_second=20, per_minute=600, per_hour=10_800, concurrency=5),
    )
    assert tenant.propstreet == PropstreetSettings(
        base_url="https://app.propstreet.com",
        client_id="client",
        client_secret=Secret("propstreet-hush"),
        poll_interval=60.0,
        limits=Limits(per_second=20, per_minute=600, per_hour=10_800, concurrency=8),
    )
    assert tenant.sync == SyncSettings()


def test_every_key_of_the_contract_is_read() -> None:
    settings = parse(EVERY_KEY)
    vitec, propstreet, sync = (
        settings.tenants[0].vitec,
        settings.tenants[0].propstreet,
        settings.tenants[0].sync,
    )
    assert settings.mode == "observe"
    assert settings.database.dsn == Secret("postgresql://toveis@db/toveis")
    assert settings.database.migrate_dsn == Secret("postgresql://owner@db/toveis")
    assert settings.database.data_dir == "/srv/state"
    assert settings.http.public_url == "https://sync.example.no"
    assert settings.http.lead_token == Secret("lead-hush")
    assert vitec.credentials == {"CRM-Contact": Credential(username="5678", password=Secret("group-hush"))}
    assert vitec.webhook_secret == Secret("a-path-nobody-guesses")
    assert (vitec.poll_interval, propstreet.poll_interval) == (0.25, 300.0)
    assert vitec.limits == Limits(per_second=1, per_minute=2, per_hour=3, concurrency=4)
    assert propstreet.limits == Limits(per_second=20, per_minute=600, per_hour=100, concurrency=8)
    assert sync == SyncSettings(
        contacts="to_vitec",
        companies="to_propstreet",
        projects="off",
        first_sync="now",
        new_from_propstreet=OnlyTagged("oslo"),
        external_ref_namespace="vitec",
        organisation_number_namespace="orgno",
        match_name_phone="hold",
        note="keyword",
        note_keywords=("MEUR",),
        categories={"Kjøper": "buyer", "Investor": "investor"},
        company_categories={"VIP": "vip"},
        estate_types=("Premises",),
        statuses={"NoAssignment": "inactive"},
        levels={"FollowingBidding": "bidder", "Archived": "not_interested"},
        new_prospect_status="Assigned",
        sensitive_business="push",
        store_national_ids=True,
        empty_country="SE",
        website_custom_field="Website",
        signatory_links=True,
        viewing_means_interested=True,
        prospect_removed="not_interested",
        project_status_writes=True,
        clear_by_empty_string=True,
        on_delete=OnDelete(contacts="hold", companies="propagate", projects="hold", prospects="keep"),
        authority={"contact.email": "vitec", "company.website": "propstreet", "contact.phone": "latest"},
        delete_brake=Brake(count=1, percent=2.5),
        change_brake=Brake(count=3, percent=4.0),
        reconcile_interval=5400.0,
    )


@pytest.mark.parametrize(
    ("struct", "readers"),
    [
        (SyncSettings, sections.SYNC_READERS),
        (VitecSettings, sections.VITEC_READERS),
        (PropstreetSettings, sections.PROPSTREET_READERS),
        (Limits, sections.LIMIT_READERS),
    ],
)
def test_no_setting_is_out_of_the_files_reach(struct: type[Any], readers: dict[str, Reader]) -> None:
    names = {field.name for field in fields(struct)}
    assert readers.keys() <= names
    for name in names - readers.keys():
        assert f"{name} = " in EVERY_KEY


def test_the_first_of_several_categories_to_one_tag_stays_first() -> None:
    settings = parse(with_sync('categories = { "Z" = "buyer", "A" = "buyer", "M" = "buyer" }'))
    assert list(settings.tenants[0].sync.categories) == ["Z", "A", "M"]


def test_the_hub_has_its_own_address() -> None:
    settings = parse(SMALLEST.replace("[tenants.vitec]", '[tenants.vitec]\nproduct = "hub"'))
    assert settings.tenants[0].vitec.base_url == "https://hub.megler.vitec.net"


def test_migrations_use_the_dsn_when_they_have_none_of_their_own() -> None:
    settings = parse('[database]\ndsn = "postgresql://db/toveis"' + SMALLEST)
    assert settings.database.migrate_dsn == settings.database.dsn


@pytest.mark.parametrize(("written", "seconds"), [("250ms", 0.25), ("2s", 2), ("5m", 300), ("24h", 86_400)])
def test_durations_are_seconds(written: str, seconds: float) -> None:
    assert parse(with_sync(f'reconcile_interval = "{written}"')).tenants[0].sync.reconcile_interval == seconds


def test_a_file_that_begins_with_a_byte_order_mark_is_read() -> None:
    assert parse(b"\xef\xbb\xbf" + SMALLEST.encode()).tenants[0].name == "oslo"


# --- What is refused ---


def test_five_mistakes_are_reported_together() -> None:
    text = EVERY_KEY
    for right, wrong in [
        ('poll_interval = "250ms"', 'poll_interval = "60 parsecs"'),
        ("port = 8081", "port = 80810"),
        ('contacts = "to_vitec"', 'contact = "to_vitec"'),
        ('customer_id = "M11385"', ""),
        ('webhook_secret = "a-path-nobody-guesses"', 'webhook_secret = "too short"'),
    ]:
        assert right in text
        text = text.replace(right, wrong)
    assert problems(text) == (
        "http.port: 80810 is not a whole number (write one from 0 to 65535, without quotes)",
        'tenants[oslo].vitec.customer_id: is missing (write customer_id = "..")',
        "tenants[oslo].vitec.poll_interval: '60 parsecs' is not a duration (write 250ms, 2s, 5m or 24h)",
        "tenants[oslo].vitec.webhook_secret: is not fit for a path "
        "(write 16 or more of A-Z, a-z, 0-9, -, _, . and ~)",
        "tenants[oslo].sync.contact: is not a known key (did you mean contacts?)",
    )


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('contacts = "sideways"', "contacts"),
        ("contacts = true", "contacts"),
        ('first_sync = "later"', "first_sync"),
        ('new_from_propstreet = "all"', "new_from_propstreet"),
        ("new_from_propstreet = { tags = ['oslo'] }", "new_from_propstreet"),
        ('new_from_propstreet = { tag = " " }', "new_from_propstreet"),
        ('external_ref_namespace = ""', "external_ref_namespace"),
        ('note = "keywords"', "note"),
        ('note_keywords = "MNOK"', "note_keywords"),
        ("note_keywords = [1]", "note_keywords"),
        ("categories = { Investor = 1 }", "categories.Investor"),
        ('categories = "Investor"', "categories"),
        ('estate_types = ["Castle"]', "estate_types"),
        ('statuses = { NoAssignmint = "inactive" }', "statuses.NoAssignmint"),
        ('statuses = { NoAssignment = "gone" }', "statuses.NoAssignment"),
        ('levels = { Archived = "lost" }', "levels.Archived"),
        ('new_prospect_status = "assigned"', "new_prospect_status"),
        ('store_national_ids = "no"', "store_national_ids"),
        ("store_national_ids = 0", "store_national_ids"),
        ('empty_country = "NO"', "empty_country"),
        ('on_delete = { contacts = "delete" }', "on_delete.contacts"),
        ('on_delete = { contact = "keep" }', "on_delete.contact"),
        ('authority = { "contact.emial" = "vitec" }', "authority.contact.emial"),
        ('authority = { "contact.email" = "newest" }', "authority.contact.email"),
        ("delete_brake = { count = -1 }", "delete_brake.count"),
        ("delete_brake = { percent = 101 }", "delete_brake.percent"),
        ("delete_brake = { percent = nan }", "delete_brake.percent"),
        ("delete_brake = { amount = 1 }", "delete_brake.amount"),
        ("reconcile_interval = 60", "reconcile_interval"),
        ('reconcile_interval = "0s"', "reconcile_interval"),
        ('reconcile_interval = "١٠s"', "reconcile_interval"),
        ("reconcile_interval = 2026-01-01", "reconcile_interval"),
        (f"website_custom_field = 0x{'f' * 5000}", "website_custom_field"),
    ],
)
def test_a_wrong_value_is_one_problem_under_its_key(line: str, key: str) -> None:
    (problem,) = problems(with_sync(line))
    assert problem.startswith(f"tenants[oslo].sync.{key}: ")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("mod = 'live'", "mod: is not a known key (did you mean mode?)"),
        ("[htpp]", "htpp: is not a known key (did you mean http?)"),
        ("colour = 'red'", "colour: is not a known key (leave it out)"),
    ],
)
def test_an_unknown_key_is_a_problem_and_names_the_likely_one(text: str, near: str) -> None:
    assert problems(f"{text}\n{SMALLEST}") == (near,)


@pytest.mark.parametrize(
    "address",
    [
        "connect.example.se",
        "ftp://connect.example.se",
        "http://connect.example.se",
        "http://127.0.0.1.example.se",
        "https://",
        "https://connect.example.se:99999",
        "https://connect.example.se?x=1",
        "https://[::1",
        "https://user:hush@connect.example.se",
        "http://user:hush@localhost",
    ],
)
def test_an_address_is_https_or_on_loopback(address: str) -> None:
    (problem,) = problems(SMALLEST.replace("[tenants.vitec]", f'[tenants.vitec]\nbase_url = "{address}"'))
    assert problem.startswith("tenants[oslo].vitec.base_url: ")
    assert "hush" not in problem


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9", "https://a.no/x"]
)
def test_a_good_address_is_taken(address: str) -> None:
    settings = parse(SMALLEST.replace("[tenants.vitec]", f'[tenants.vitec]\nbase_url = "{address}/"'))
    assert settings.tenants[0].vitec.base_url == address


def test_a_configuration_without_tenants_is_refused() -> None:
    assert problems("") == ("tenants: there is none (write [[tenants]])",)
    assert problems("tenants = []") == ("tenants: there is none (write [[tenants]])",)


def test_tenants_that_are_no_list_of_tables_are_refused() -> None:
    assert problems('[tenants]\nname = "oslo"') == ("tenants: a table is not a list (write [[tenants]])",)
    assert problems("tenants = [1]") == ("tenants[#1]: 1 is not a table (write [[tenants]])",)


def test_a_missing_section_is_one_problem() -> None:
    assert problems('[[tenants]]\nname = "oslo"') == (
        "tenants[oslo].vitec: is missing (write a table for it)",
        "tenants[oslo].propstreet: is missing (write a table for it)",
    )


@pytest.mark.parametrize("name", ["Oslo", "os lo", "øst", "", "a/b"])
def test_a_tenants_name_is_fit_for_a_path(name: str) -> None:
    (problem,) = problems(SMALLEST.replace('"oslo"', f'"{name}"'))
    assert problem == f"tenants[#1].name: {name!r} is not a tenant's name (write a-z, 0-9 and - only)"


def test_two_tenants_of_one_name_are_refused() -> None:
    found = problems(SMALLEST + SMALLEST.replace('"client"', '"other"').replace("M11385", "M2"))
    assert found == ("tenants[oslo].name: is the name of two tenants (write another)",)


def test_two_tenants_of_one_customer_are_refused() -> None:
    bergen = SMALLEST.replace("oslo", "bergen").replace('"client"', '"other"')
    said = "vitec.customer_id: is the customer of two tenants (keep one of them)"
    assert problems(SMALLEST + bergen) == (f"tenants[oslo].{said}", f"tenants[bergen].{said}")
    hub = '[tenants.vitec]\nproduct = "hub"'
    assert parse(SMALLEST + bergen.replace("[tenants.vitec]", hub))


def test_two_tenants_with_one_organisation_do_not_both_take_in_what_is_new_there() -> None:
    bergen = SMALLEST.replace("oslo", "bergen").replace("M11385", "M2")
    first, second = problems(SMALLEST + bergen)
    assert first.startswith('tenants[oslo].sync.new_from_propstreet: "create" and another tenant has')
    assert second.startswith("tenants[bergen].sync.new_from_propstreet: ")
    tagged = '[tenants.sync]\nnew_from_propstreet = { tag = "oslo" }\n'
    assert problems(SMALLEST + tagged + bergen) == (second,)
    assert len(parse(SMALLEST + tagged + bergen + tagged.replace('{ tag = "oslo" }', '"hold"')).tenants) == 2
    assert len(parse(SMALLEST + bergen.replace('"client"', '"other"')).tenants) == 2


def test_broken_toml_is_one_problem_with_its_line() -> None:
    (problem,) = problems("mode = 'live'\n[http\n")
    assert problem.startswith("line 2, column 6: ")
    assert problems(b"mode = 'live'\nname = '\xff'") == (
        "line 2: is not UTF-8 text (save the file as UTF-8)",
    )
    assert len(problems("x = " + "9" * 5000)) == 1
    assert len(problems("x = " + "[" * 5000)) == 1


# --- Secrets ---


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-a-file\n")
    settings = parse(SMALLEST.replace('password = "vitec-hush"', 'password_file = "password"'), tmp_path)
    assert settings.tenants[0].vitec.password.reveal() == "from-a-file"


def test_every_secret_may_be_a_systemd_credential(tmp_path: Path) -> None:
    text = '[database]\n[http]\n[[tenants]]\nname = "oslo"\n'
    text += (
        '[tenants.vitec]\ncustomer_id = "M1"\nusername = "1"\ncredentials = { CRM = { username = "2" } }\n'
    )
    text += '[tenants.propstreet]\nclient_id = "client"\n'
    for name, secret in {
        "database.dsn": "postgresql://db/toveis",
        "database.migrate_dsn": "postgresql://owner@db/toveis",
        "http.lead_token": "token",
        "oslo.vitec.password": "one",
        "oslo.vitec.credentials.CRM.password": "two",
        "oslo.vitec.webhook_secret": "0123456789abcdef",
        "oslo.propstreet.client_secret": "three",
        "oslo.propstreet.webhook_secret": "whsec_aHVzaA==",
    }.items():
        (tmp_path / name).write_text(secret)
    settings = parse(text, CREDENTIALS_DIRECTORY=str(tmp_path))
    vitec, propstreet = settings.tenants[0].vitec, settings.tenants[0].propstreet
    assert settings.database.dsn == Secret("postgresql://db/toveis")
    assert settings.database.migrate_dsn == Secret("postgresql://owner@db/toveis")
    assert settings.http.lead_token == Secret("token")
    assert vitec.password == Secret("one")
    assert vitec.credentials["CRM"].password == Secret("two")
    assert vitec.webhook_secret == Secret("0123456789abcdef")
    assert propstreet.client_secret == Secret("three")
    assert propstreet.webhook_secret == Secret("whsec_aHVzaA==")


def test_a_secret_in_two_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "oslo.vitec.password").write_text("hush")
    text = SMALLEST.replace('password = "vitec-hush"', 'password = "vitec-hush"\npassword_file = "x"')
    assert problems(text, CREDENTIALS_DIRECTORY=str(tmp_path)) == (
        "tenants[oslo].vitec.password: is given more than once "
        "(keep one of password, password_file, credential oslo.vitec.password)",
    )


def test_a_secrets_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    text = SMALLEST.replace('password = "vitec-hush"', 'password_file = "gone"')
    (problem,) = problems(text, tmp_path)
    assert problem.startswith("tenants[oslo].vitec.password_file: ")
    assert "No such file" in problem
    (tmp_path / "gone").write_bytes(b"\xff\xfe")
    assert "is not UTF-8 text" in problems(text, tmp_path)[0]
    (tmp_path / "gone").write_text("\n")
    assert "is blank" in problems(text, tmp_path)[0]


def test_a_required_secret_may_not_be_left_out() -> None:
    assert problems(SMALLEST.replace('password = "vitec-hush"', "")) == (
        'tenants[oslo].vitec.password: is missing (write password = "..", password_file = "..", '
        "or a systemd credential)",
    )


def test_a_command_that_needs_no_secrets_runs_without_them() -> None:
    text = SMALLEST.replace('password = "vitec-hush"', 'password_file = "/not/for/you"')
    text = text.replace('client_secret = "propstreet-hush"', "")
    settings = config.parse(text, {}, Path("/srv"), need=["tenants"])
    assert settings.tenants[0].vitec.password.reveal() == ""
    assert settings.tenants[0].propstreet.client_secret.reveal() == ""
    with pytest.raises(ConfigError):
        config.parse('[database]\ndsn_file = "/not/for/you"', {}, Path("/srv"), need=[])


def test_a_command_that_needs_no_tenants_runs_without_them() -> None:
    assert config.parse("", {}, Path("/srv"), need=[]) == Settings()


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("[tenants.propstreet]", 'webhook_secret = "hush-hush-hush"'),
        ("[tenants.propstreet]", 'webhook_secret = "whsec_"'),
        ("[tenants.propstreet]", 'webhook_secret = "whsec_hush!"'),
        ("[tenants.vitec]", 'webhook_secret = "hush/hush/hush/hush"'),
        ("[tenants.vitec]", "webhook_secret = ['hush']"),
        ("[tenants.vitec]", 'webhook_secret = "hush"'),
        ("[tenants.vitec]", 'credentials = { A = { username = "1", password = { hush = 1 } } }'),
        ("[tenants.vitec]", 'limits = { per_second = { password = "hush" } }'),
        ("[[tenants]]", 'vitek = { password = "hush" }'),
    ],
)
def test_no_problem_shows_a_secret(section: str, line: str) -> None:
    found = problems(SMALLEST.replace(section, f"{section}\n{line}"))
    assert len(found) == 1
    assert "hush" not in found[0]


def test_no_problem_shows_the_secret_of_another_section() -> None:
    text = SMALLEST.replace('"vitec-hush"', '"hush\\u0007"').replace('"propstreet-hush"', "12345")
    text = '[database]\ndsn = "mysql://hush"\n[http]\nlead_token = "hu sh"\n' + text
    found = " ".join(problems(text))
    assert len(problems(text)) == 4
    assert not any(secret in found for secret in ("mysql", "hu sh", "hush", "12345"))


def test_settings_never_show_a_secret() -> None:
    settings = parse(EVERY_KEY)
    for form in (repr(settings), str(settings), f"{settings.tenants[0].vitec.password}"):
        assert "***" in form
        assert not any(text in form for text in ("hush", "postgresql://", "nobody-guesses", "aHVza"))
    assert "hush" not in str(settings.tenants[0].vitec.password.__rich_repr__())


# --- Where the file is ---


def test_the_option_goes_before_the_environment_and_that_before_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {"TOVEIS_CONFIG": "env.toml"}
    assert config.find(Path("option.toml"), env, tmp_path) == tmp_path / "option.toml"
    assert config.find(None, env, tmp_path) == tmp_path / "env.toml"
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "etc.toml")
    with pytest.raises(ConfigError, match="write one, or give --config FILE"):
        config.find(None, {"TOVEIS_CONFIG": ""}, tmp_path)
    (tmp_path / "etc.toml").touch()
    assert config.find(None, {}, tmp_path) == tmp_path / "etc.toml"
    (tmp_path / "toveis.toml").touch()
    assert config.find(None, {}, tmp_path) == tmp_path / "toveis.toml"


def test_paths_in_a_file_start_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "toveis.toml").write_text('[database]\ndata_dir = "state"\n' + SMALLEST)
    assert config.load(tmp_path / "toveis.toml", {}).database.data_dir == str(tmp_path / "state")
    assert config.load(None, {"TOVEIS_CONFIG": str(tmp_path / "toveis.toml")}).tenants[0].name == "oslo"


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    assert problems('[database]\ndata_dir = "state"\n' + SMALLEST, tmp_path) == (
        "database.data_dir: 'state' is not a directory (write the path of one)",
    )


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read \(No such file or directory\)"):
        config.load(tmp_path / "gone.toml", {})


def test_the_configuration_of_the_readme_is_one() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    text = readme.partition("```toml\n")[2].partition("```")[0]
    need: tuple[config.Need, ...] = ("tenants",)  # the files of its secrets are an operator's
    settings = config.parse(text, {}, Path("/"), need=need)
    assert [tenant.name for tenant in settings.tenants] == ["oslo"]
    assert settings.tenants[0].sync.categories == {"Investor": "investor"}
