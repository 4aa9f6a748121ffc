"""Stories follow from their seed, are many, and can be written, read and made smaller."""

from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest

from tests.simulation.steps import (
    AnyStep,
    Being,
    Crash,
    Create,
    Edit,
    Knobs,
    Lead,
    Note,
    Story,
    Untag,
    read,
    said,
    words,
    written,
)
from tests.simulation.story import THEMES, shrunk, tell

SEEDS = range(300)


def test_a_seed_tells_the_same_story_each_time() -> None:
    assert all(tell(seed) == tell(seed) for seed in SEEDS[:40])
    assert tell(1) != tell(2)


def test_a_story_survives_its_way_through_a_file() -> None:
    for seed in SEEDS:
        assert read(written(tell(seed))) == tell(seed)


def test_steps_come_in_the_order_of_their_times_and_are_few() -> None:
    for seed in SEEDS:
        story = tell(seed)
        assert [step.at for step in story.steps] == sorted(step.at for step in story.steps)
        assert 5 <= len(story.steps) <= 55
        assert 1 <= sum(being.category == "contact" for being in story.population) <= 3


def test_about_a_quarter_of_the_stories_has_no_fault() -> None:
    quiet = sum(not tell(seed).faulty for seed in SEEDS)
    assert 0.17 < quiet / len(SEEDS) < 0.33


def test_every_theme_is_told_and_every_kind_of_step_happens() -> None:
    stories = [tell(seed) for seed in SEEDS]
    assert {story.knobs.theme for story in stories} == set(THEMES)
    kinds = Counter(type(step).__name__ for story in stories for step in story.steps)
    assert kinds.keys() == {kind.__name__ for kind in get_args(AnyStep)}


def test_a_story_can_be_asked_for_by_its_theme() -> None:
    assert tell(5, "leads").knobs.theme == "leads"
    assert any(isinstance(step, Note | Lead) for step in tell(5, "leads").steps)


def test_people_meet_at_one_field_within_moments() -> None:
    close = 0
    for seed in SEEDS[:100]:
        edits = [step for step in tell(seed).steps if isinstance(step, Edit)]
        for one, other in pairwise(edits):
            same = (one.category, one.who, one.field) == (other.category, other.who, other.field)
            close += same and one.vendor != other.vendor and other.at - one.at < 1
    assert close > 50


def test_a_value_is_typed_by_one_scene_alone_unless_somebody_returns_to_it() -> None:
    story = tell(7, "races")
    tokens = Counter(step.value for step in story.steps if isinstance(step, Edit) and step.value)
    assert sum(times == 1 for times in tokens.values()) > len(tokens) / 2


def test_a_story_reads_as_a_line_for_each_step() -> None:
    story = tell(11)
    lines = words(story).splitlines()
    assert len([line for line in lines if line[:9].strip().replace(".", "").isdigit()]) == len(story.steps)
    assert said(Untag("vitec", "contact", 1, "vip", at=2.0)) == "vitec: contact 1 loses the tag vip"


@pytest.fixture
def story() -> Story:
    return Story(
        1,
        Knobs(poll=5.0, sync={"first_sync": "wait", "note": "off"}),
        (Being("contact", 0, vitec={"first_name": "Anna"}),),
        (
            Edit("vitec", "contact", 0, "phone", "070-174 06 05", at=1.0),
            Crash(at=2.0),
            Create("propstreet", "contact", 1, {"first_name": "Eva"}, at=3.0),
            Note("vitec", 0, "Ringde", at=4.0),
        ),
    )


def test_smaller_stories_leave_out_steps_faults_knobs_and_people(story: Story) -> None:
    smaller = list(shrunk(story))
    assert all(len(written(each)) < len(written(story)) for each in smaller)
    assert any(len(each.steps) == 2 for each in smaller)
    assert any(len(each.steps) == 3 and not each.faulty for each in smaller)
    assert any(each.knobs.poll == Knobs().poll for each in smaller)
    assert any(each.knobs.sync == {"note": "off"} for each in smaller)
    assert any(not each.population for each in smaller)


def test_shrinking_ends() -> None:
    story, steps = tell(3), 0
    while (smaller := next(shrunk(story), None)) is not None:
        story, steps = smaller, steps + 1
    assert not story.steps
    assert not story.population
    assert steps < 200
