"""Skills: every file gives sound set-points without memory; on an ideal tool each does what it is for."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab import rooms
from twinlab.skills import Aim, Now, towards

SKILLS = pytest.mark.parametrize("name", rooms.names("skills"))
TICK = 0.05
BELT = (0.0, -0.1, 0.0)
PLACES = st.tuples(st.integers(100, 750), st.integers(-700, 700), st.integers(10, 600)).map(
    lambda p: np.array(p) / 1024
)
YAWS = st.floats(-np.pi, np.pi)
NOWS = st.builds(lambda at, yaw, width: Now(np.array([*at, yaw]), width), PLACES, YAWS, st.floats(0, 0.08))
AIMS = st.builds(Aim, PLACES, YAWS, st.sampled_from([BELT, (0.0, 0.0, 0.0)]))


def follow(skill, now: Now, aim: Aim, ticks: int) -> list[tuple[Now, Aim, np.ndarray]]:
    """What an ideal tool does under a skill: it moves exactly as it is told, and so does the item."""
    story = []
    for _ in range(ticks):
        action = skill.act(now, aim)
        story.append((now, aim, action))
        width = float(np.clip(now.width + action[4] * TICK, 0, 0.08))
        now = Now(now.tool + action[:4] * TICK, width)
        aim = Aim(aim.position + np.array(aim.velocity) * TICK, aim.yaw, aim.velocity)
    return story


# ---- the contract of every file


@SKILLS
@given(now=NOWS, aim=AIMS)
def test_set_points_are_finite_within_the_robots_limits_and_without_memory(blind_cell, name, now, aim):
    skill = rooms.build("skills", name)
    action = skill.act(now, aim)
    assert action.shape == (5,) and np.isfinite(action).all()
    limits = [a.high for a in blind_cell.actuators[:5]]
    assert (np.abs(action) <= np.array(limits) + 1e-9).all()
    assert np.linalg.norm(action[:3]) <= blind_cell.spec.bodies["arm"].speed + 1e-9
    assert (skill.act(now, aim) == action).all()
    assert (rooms.build("skills", name).act(now, aim) == action).all()


@SKILLS
@given(now=NOWS, aim=AIMS, shift=st.tuples(*[st.integers(-9, 9)] * 2))
def test_it_matters_where_the_aim_is_from_the_tool_not_where_both_are_on_the_table(name, now, aim, shift):
    skill = rooms.build("skills", name)
    way = np.array([*shift, 0, 0]) / 16  # powers of two: sums are exact
    moved = skill.act(Now(now.tool + way, now.width), Aim(aim.position + way[:3], aim.yaw, aim.velocity))
    assert moved == pytest.approx(skill.act(now, aim), abs=1e-9)


@SKILLS
def test_a_skill_is_its_own_frozen_configuration(name):
    skill = rooms.build("skills", name)
    field = dataclasses.fields(skill)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(skill, field, 0.0)
    assert rooms.build("skills", name, **dataclasses.asdict(skill)) == skill


# ---- the way there


@given(NOWS, PLACES, YAWS)
def test_a_tool_is_led_straight_to_where_it_shall_be_and_slower_the_nearer_it_is(now, place, yaw):
    move = towards(now, place, yaw, gain=4.0, speed=0.5)
    left = place - now.tool[:3]
    assert np.linalg.norm(move[:3]) == pytest.approx(min(0.5, 4 * np.linalg.norm(left)), abs=1e-9)
    assert np.cross(move[:3], left) == pytest.approx(np.zeros(3), abs=1e-9)
    assert move[:3] @ left >= 0


def test_a_tool_turns_the_shorter_way_round():
    now = Now(np.array([0, 0, 0, 3.0]), 0.08)
    assert towards(now, np.zeros(3), -3.0, 1.0, 1.0)[3] == pytest.approx(4 * (2 * np.pi - 6))
    assert towards(now, np.zeros(3), 0.0, 1.0, 1.0)[3] == -2


# ---- what each is for


@pytest.mark.parametrize("velocity", [(0.0, 0.0, 0.0), BELT, (0.0, 0.08, 0.0)])
@pytest.mark.parametrize("yaw", [0.0, 0.5])
def test_pick_hovers_comes_down_and_closes_only_around_the_item(velocity, yaw):
    skill = rooms.build("skills", "pick", lead=0.0)  # an ideal tool has no lag
    start, item = Now(np.array([0.4, 0.1, 0.3, 0]), 0.08), Aim(np.array([0.53, 0.3, 0.12]), yaw, velocity)
    story = follow(skill, start, item, 80)
    closing = [i for i, (_, _, action) in enumerate(story) if action[4] < 0]
    assert closing and closing == list(range(closing[0], 80))  # once they close they go on
    now, aim, _ = story[closing[0]]
    assert np.linalg.norm(now.tool[:2] - aim.position[:2]) < 0.016
    assert abs(now.tool[2] - aim.position[2]) < 0.008
    assert abs(now.tool[3] - yaw) < 0.1
    for now, aim, _ in story:  # never beside the item at its height
        aside = np.linalg.norm(now.tool[:2] - aim.position[:2])
        assert aside < 0.03 or now.tool[2] > aim.position[2] + 0.03
    assert story[-1][0].width == 0


@pytest.mark.parametrize(("aside", "above", "closes"), [(0, 0, 1), (0.01, 0.005, 1), (0.02, 0, 0), (0, 0.012, 0)])
def test_pick_closes_at_the_item_but_neither_beside_nor_above_it(aside, above, closes):
    item = np.array([0.53, 0.3, 0.12])
    now = Now(np.array([*item, 0]) + np.array([aside, 0, above, 0]), 0.08)
    action = rooms.build("skills", "pick").act(now, Aim(item))
    assert (action[4] < 0) == closes


def test_place_carries_high_holds_tight_and_opens_over_the_place_only():
    skill = rooms.build("skills", "place")
    story = follow(skill, Now(np.array([0.53, 0.1, 0.12, 0.4]), 0.04), Aim(np.array([0.23, 0.52, 0.18])), 100)
    opening = [i for i, (_, _, action) in enumerate(story) if action[4] > 0]
    assert opening
    now, aim, _ = story[opening[0]]
    assert np.linalg.norm(now.tool[:2] - aim.position[:2]) < skill.reach
    assert now.tool[2] == pytest.approx(0.18, abs=0.021)
    assert all(action[4] < 0 for _, _, action in story[: opening[0]])
    away = [n.tool for n, _, _ in story if np.linalg.norm(n.tool[:2] - [0.53, 0.1]) > 0.02]
    assert all(t[2] > 0.16 for t in away)  # above belt and rails before it goes across
    assert max(n.tool[2] for n, _, _ in story) == pytest.approx(skill.clear, abs=0.01)


def test_wait_goes_to_its_place_and_stays_there_with_open_fingers():
    story = follow(
        rooms.build("skills", "wait"), Now(np.array([0.2, -0.3, 0.1, 1]), 0.0), Aim(np.array([0.5, 0, 0.3])), 80
    )
    assert story[-1][0].tool == pytest.approx([0.5, 0, 0.3, 0], abs=0.002)
    assert story[-1][0].width == 0.08
    assert all(action[4] > 0 for _, _, action in story)
