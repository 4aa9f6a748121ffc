"""What is for sale in the sandbox, and who wants it: the story of four estates, their prospects and one sale.

Vitec's estates are Propstreet's projects; a "Project" at Vitec is a building of many homes, the only kind that can
be renamed from Propstreet. Levels are Vitec's (InterestLevel), classifications Propstreet's. `stage` and `status` at
Propstreet are its system's own moves. At the end of the day they are what the estates' statuses ask for, so that
nothing is left for an operator to do by hand.
"""

from daemon.sandbox.steps import (
    BROKERS,
    INVESTORS_PEOPLE,
    Action,
    Category,
    Fields,
    Record,
    Step,
    crossed,
    side_of,
    together,
)

INGRID, LARS, ASA = BROKERS
ERIK, MAJA = INVESTORS_PEOPLE

STILL = frozenset(("par", "par_again", "linnea"))
"""Whom the small edits leave alone: the person whose cards are merged, and one whom a lead must find as he was."""

TOLD_ONCE = frozenset(("par_again",))
"""Whose end only a notification tells: no poll shows what a merge did."""

POPULATION = (
    Record(
        "vitec", "project", "harbour",
        {"kind": "CommercialProperty", "status": "ForSale", "name": "Kontor vid hamnen i Malmö", "price": "12500000"},
    ),
    Record(
        "vitec", "project", "village",
        {"kind": "Project", "status": "Coming", "name": "Fjordbyen på Nesøya"},
    ),
    Record("vitec", "prospect", "harbour/kari", {"level": "Interested"}),
    Record("vitec", "prospect", "harbour/anna", {"level": "Assigned"}),
    Record("vitec", "prospect", "village/par", {"level": "Interested"}),
)  # fmt: skip


def _step(action: Action, category: Category, actor: str, key: str, note: str, fields: Fields) -> Step:
    return Step(actor, side_of(actor), action, category, key, fields, note)


def _listed(actor: str, key: str, note: str, **fields: str) -> Step:
    return _step("create", "project", actor, key, note, fields)


def _project(actor: str, key: str, note: str, **fields: str) -> Step:
    step = _step("edit", "project", actor, key, note, fields)
    return step if step.side == "vitec" else crossed(step)


def _viewing(actor: str, key: str, note: str, *visitors: str) -> Step:
    return _step("edit", "project", actor, key, note, {"viewing": visitors})


def _interest(actor: str, key: str, note: str, **fields: str) -> Step:
    return _step("create", "prospect", actor, key, note, fields)


def _prospect(actor: str, key: str, note: str, **fields: str) -> Step:
    step = _step("edit", "prospect", actor, key, note, fields)
    return step if step.side == "vitec" else crossed(step)


STORY = (
    _listed(
        ASA, "mill", "the old mill in Växjö is taken in",
        kind="CommercialProperty", status="AssignmentAttempt", name="Kvarnen, lager och kontor", price="31000000",
    ),
    _interest(LARS, "harbour/hakon", "Håkon Ødegård asks about the harbour", level="Interested"),
    _project(ASA, "mill", "the mill is coming", status="Coming"),
    _viewing(INGRID, "harbour", "a viewing at the harbour", "kari", "anna"),
    _prospect(INGRID, "harbour/kari", "Kari Nordmann comes to the viewing", level="BeenAtOrComingToViewing"),
    _prospect(INGRID, "harbour/anna", "Anna Bergström comes, too", level="BeenAtOrComingToViewing"),
    _listed(
        INGRID, "terrace", "homes on the terrace are planned",
        kind="Project", status="AssignmentAccepted", name="Terrassen i Sandviken",
    ),
    _project(LARS, "village", "the sale of the village begins", status="Running"),
    _prospect(MAJA, "harbour/hakon", "Håkon Ødegård declines", classification="not_interested"),
    _interest(INGRID, "village/ida", "Ida Hæreid wants a home in the village", level="Interested"),
    _project(ERIK, "village", "the village gets the name of its bay", name="Fjordbyen i Nesbukta"),
    _project(ASA, "harbour", "the harbour's price falls", price="12250000"),
    _project(ASA, "mill", "the mill is soon for sale", status="SoonForSale"),
    # The same person on a second card: it is held, as one address cannot stand at Propstreet twice, until they are one.
    _step(
        "create", "contact", LARS, "par_again", "Pär-Olof af Klintberg is entered a second time",
        {"first_name": "Pär-Olof", "last_name": "af Klintberg", "email": "par-olof@example.se"},
    ),
    _interest(ASA, "mill/linnea", "Linnéa Sjögren asks about the mill", level="Interested"),
    _interest(LARS, "terrace/astrid", "Astrid Bækkelund wants a home on the terrace", level="Interested"),
    crossed(_interest(LARS, "village/torbjorn", "Torbjørn Sæther gets the folder", level="Assigned")),
    # An investor's person brings somebody whom Vitec knows by Toveis alone.
    crossed(_interest(ERIK, "harbour/freja", "Freja Hallström asks about the harbour", classification="interested")),
    _prospect(INGRID, "harbour/kari", "Kari Nordmann wants it", level="VeryInterested"),
    _project(ASA, "mill", "the mill is for sale", status="ForSale"),
    _step(
        "merge", "contact", ASA, "par_again", "Pär-Olof's two cards become one", {"source": "par"},
    ),
    _prospect(INGRID, "harbour/anna", "Anna Bergström bids", level="ParticipateInBidding", bid="11800000"),
    _prospect(INGRID, "harbour/kari", "Kari Nordmann bids", level="ParticipateInBidding", bid="12100000"),
    _step(
        "create", "link", ASA, "fjord/kari", "Kari Nordmann signs for Fjord Eiendom",
        {"relation": "CompanyContactPerson"},
    ),
    _project(LARS, "terrace", "the terrace finds its name", name="Solterrassen i Sandviken"),
    _interest(ASA, "mill/mats", "Mats Ängström gets the folder", level="Assigned"),
    _project(ERIK, "harbour", "the harbour's teaser goes out", stage="communicated"),
    # At one moment: the finer level does not outlive the bid, and the bid is not lost.
    *together(
        _prospect(INGRID, "village/ida", "Ida Hæreid comes to the show flat", level="BeenAtOrComingToViewing"),
        _prospect(MAJA, "village/ida", "and tells Maja that she bids", classification="bidder"),
    ),
    _prospect(INGRID, "harbour/anna", "Anna Bergström stops bidding", level="OnHoldInBidding"),
    _project(ASA, "mill", "the mill's owner wants more", price="32500000"),
    _project(ASA, "mill", "the mill rests while its owner thinks", status="Resting"),
    _prospect(ERIK, "mill/mats", "Mats Ängström warms to the mill", classification="interested"),
    _project(INGRID, "terrace", "the sale of the terrace begins", status="Running"),
    _prospect(LARS, "terrace/astrid", "Astrid Bækkelund reserves a home", level="Reserved"),
    _interest(LARS, "village/fjord", "Fjord Eiendom looks at a whole house", level="Interested"),
    crossed(_interest(MAJA, "mill/siv", "Siv Bråten is told of the mill", classification="contacted")),
    _prospect(INGRID, "harbour/kari", "Kari Nordmann buys the harbour", role="buyer"),
    _project(INGRID, "harbour", "the harbour is sold", status="Sold"),
    _prospect(LARS, "village/par", "Pär-Olof wants the corner house", level="VeryInterested"),
    # One name at both sides at once.
    *together(
        _project(LARS, "village", "Lars writes the village's first phase", name="Fjordbyen i Nesbukta, trinn 1"),
        _project(ERIK, "village", "and Erik its first houses", name="Nesbukta, de første husene"),
    ),
    _project(ASA, "mill", "the mill is for sale again", status="ForSale"),
    _prospect(LARS, "village/torbjorn", "Torbjørn Sæther declines", level="NotInterested"),
    _project(LARS, "village", "the village rests over noon", status="Resting"),
    _prospect(MAJA, "mill/linnea", "Linnéa Sjögren bids on the mill", classification="bidder"),
    _project(ASA, "mill", "the mill is called what it is", name="Kvarnen i Växjö, 4 200 kvm"),
    _project(MAJA, "mill", "the mill's teaser goes out", stage="communicated"),
    _project(LARS, "village", "the village is for sale again", status="Running"),
    _project(ERIK, "village", "the village's teaser goes out", stage="communicated"),
    _project(INGRID, "terrace", "every home on the terrace is sold", status="Soldout"),
    _project(MAJA, "terrace", "the terrace's teaser went out long ago", stage="communicated"),
    _project(MAJA, "terrace", "the terrace is closed", status="closed"),
    _project(ERIK, "harbour", "the harbour is closed", status="closed"),
    _prospect(ASA, "mill/mats", "Mats Ängström follows the bidding", level="FollowingBidding"),
)  # fmt: skip
