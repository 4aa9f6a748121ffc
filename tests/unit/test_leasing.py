"""Who takes which tenant: evenly, without a fight, and nothing for its own sake."""

import random
from collections import Counter
from uuid import UUID

import pytest

from daemon.policies.leasing import Moves, share

A, B, C = (UUID(int=n) for n in (1, 2, 3))
FOUR = frozenset(("bergen", "lund", "malmo", "oslo"))


def test_a_daemon_that_is_alone_takes_everything() -> None:
    assert share(A, {}, {A: FOUR}) == Moves(take=("bergen", "lund", "malmo", "oslo"))


def test_what_somebody_has_is_not_taken() -> None:
    holders = dict.fromkeys(FOUR - {"oslo"}, A)
    assert share(B, holders, {A: FOUR, B: FOUR}).take == ("oslo",)
    assert share(A, holders, {A: FOUR, B: FOUR}).take == ()


def test_whoever_joins_is_handed_its_share_by_who_has_more() -> None:
    assert share(A, dict.fromkeys(FOUR, A), {A: FOUR, B: FOUR}) == Moves(give=("oslo", "malmo"))
    assert share(B, dict.fromkeys(FOUR, A), {A: FOUR, B: FOUR}) == Moves()


def test_a_difference_of_one_moves_nothing() -> None:
    three = sorted(FOUR)[:3]
    holders = dict(zip(three, (A, A, B), strict=True))
    living = dict.fromkeys((A, B), frozenset(three))
    assert share(A, holders, living) == share(B, holders, living) == Moves()
    assert share(A, {"oslo": A}, {A: FOUR & {"oslo"}, B: FOUR & {"oslo"}}) == Moves()


def test_nothing_is_handed_to_a_daemon_that_does_not_serve_the_tenant() -> None:
    holders = dict.fromkeys(FOUR, A)
    assert share(A, holders, {A: FOUR, B: frozenset(("lund",))}) == Moves(give=("lund",))
    assert share(B, {}, {A: FOUR, B: frozenset(("lund",))}).take in ((), ("lund",))


def test_a_tenant_that_nobody_serves_is_left_alone() -> None:
    assert share(A, {"gone": B}, {A: frozenset(("oslo",))}) == Moves(take=("oslo",))


@pytest.mark.parametrize("seed", range(50))
def test_from_any_beginning_the_shares_become_even_and_then_nothing_moves(seed: int) -> None:
    """Looks come in any order and at any time; one releases, another takes, and the epochs settle who was first."""
    chance = random.Random(seed)
    daemons = [UUID(int=n) for n in range(1, chance.randint(2, 6))] + [C]
    tenants = frozenset(f"t{n:02}" for n in range(chance.randint(1, 12)))
    living = dict.fromkeys(daemons, tenants)
    holders = {tenant: chance.choice(daemons) for tenant in tenants if chance.random() < 0.8}
    moved = 0
    for _ in range(40):
        for me in chance.sample(daemons, len(daemons)):
            moves = share(me, holders, living)
            assert not set(moves.take) & holders.keys()
            assert all(holders[tenant] == me for tenant in moves.give)
            moved = len(moves.take) + len(moves.give)
            holders.update(dict.fromkeys(moves.take, me))
            for tenant in moves.give:
                del holders[tenant]
    assert moved == 0
    assert holders.keys() == tenants
    counts = [Counter(holders.values())[daemon] for daemon in set(daemons)]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("seed", range(20))
def test_two_that_look_at_the_same_moment_never_want_the_same_tenant(seed: int) -> None:
    chance = random.Random(seed)
    holders = {tenant: chance.choice((A, B, C)) for tenant in FOUR if chance.random() < 0.4}
    living = {daemon: frozenset(t for t in FOUR if chance.random() < 0.8) for daemon in (A, B, C)}
    wanted = [tenant for me in (A, B, C) for tenant in share(me, holders, living).take]
    assert len(wanted) == len(set(wanted))
    assert set(wanted) == {t for tenants in living.values() for t in tenants} - holders.keys()
