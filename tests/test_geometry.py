"""Where cameras look is a point in space, told to the millimetre by depth, mount and tool."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twinlab import frames, rooms
from twinlab.batches import Signal, hold
from twinlab.batches._signals import signal_of
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.model import Size
from twinlab.model.belief import Sighting, spots
from twinlab.model.geometry import Gaze, Mounting
from twinlab.model.perception import Percept
from twinlab.train import Fit, Stage, fit

ROWS, COLUMNS = 12, 16
LENS = (20.0, 21.0, 7.4, 5.6, 0.0, 0.0, 0.0, 0.0, 0.0)
POSE = (1.0, 0.2, 0.9, *frames.from_euler((0, 0, 0), (2.2, 0.1, -0.4))[3:])
TURN = (3.0, 0.2, -0.1)  # of the tool's frame at yaw 0
HAND = (0.01, 0.02, -0.1, *frames.from_euler((0, 0, 0), (0.1, 0.0, 0.3))[3:])  # on the tool
DEPTH = Signal("depth", "depth", "reading", ("row", "column"), (ROWS, COLUMNS), camera=(*LENS, *POSE))
TCP = Signal(
    "tcp", "vector", "reading", ("axis",), (4,), ("x", "y", "z", "yaw"), ("m", "m", "m", "rad"),
    mean=(0.4, 0.1, 0.3, 0.2), std=(0.1, 0.2, 0.1, 0.5), varies=(True,) * 4, link="arm/tip",
    camera=(*TURN, *HAND), mounts=("arm/hand",),
)  # fmt: skip
WIDTH = Signal("width", "vector", "reading", (), (), units=("m",), mean=(0.04,), std=(0.02,))
TARGET = Signal(
    "target", "vector", "truth", ("axis",), (4,), ("cos", "x", "y", "z"), ("1", "m", "m", "m"),
    mean=(0.0, 0.5, 0.2, 0.1), std=(1.0, 0.2, 0.3, 0.05), varies=(True,) * 4,
)  # fmt: skip


def pixel(row: int, column: int) -> torch.Tensor:
    """Logits that look at one pixel alone (1, 1, row, column)."""
    out = torch.zeros(1, 1, ROWS, COLUMNS)
    out[..., row, column] = 100.0
    return out


@given(st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1), st.floats(0.2, 3.0))
def test_a_pixel_is_looked_at_where_its_depth_says(row, column, z):
    points, some = Gaze(DEPTH)(torch.full((1, ROWS, COLUMNS), z), pixel(row, column))
    wanted = [z * (column - LENS[2]) / LENS[0], z * (row - LENS[3]) / LENS[1], z]
    assert bool(some) and np.allclose(points[0, 0], wanted, atol=1e-4)


def test_a_lens_that_distorts_is_seen_through():
    k1 = 0.1
    bent = replace(DEPTH, camera=(*LENS[:4], k1, 0.0, 0.0, 0.0, 0.0, *POSE))
    x, y = 0.3, -0.2
    far = 1 + k1 * (x * x + y * y)
    column, row = x * far * LENS[0] + LENS[2], y * far * LENS[1] + LENS[3]
    ray = Gaze(bent).rays.reshape(ROWS, COLUMNS, 3)[round(row), round(column)]
    straight = Gaze(DEPTH).rays.reshape(ROWS, COLUMNS, 3)[round(row), round(column)]
    assert abs(float(ray[0])) < abs(float(straight[0])) and abs(float(ray[1])) < abs(float(straight[1]))


def test_pixels_without_depth_count_for_nothing_and_a_blind_picture_is_unsure():
    depth = torch.full((2, ROWS, COLUMNS), 1.0)
    depth[0, :, 8:] = torch.inf
    depth[1] = torch.inf
    points, some = Gaze(DEPTH)(depth, torch.zeros(2, 1, ROWS, COLUMNS))
    assert some.tolist() == [True, False] and (points[1] == 0).all()
    assert float(points[0, 0, 0]) == pytest.approx((3.5 - LENS[2]) / LENS[0], abs=1e-5)


def test_a_fixed_camera_tells_points_in_the_world():
    points = torch.randn(5, 3, 3)
    found = Mounting(DEPTH, (TCP,))(points, torch.zeros(5, 4))
    assert np.allclose(found.reshape(-1, 3), frames.apply(np.array(POSE), points.reshape(-1, 3).numpy()), atol=1e-5)


@given(st.tuples(*[st.floats(-0.5, 0.5)] * 3), st.floats(-3, 3))
def test_a_camera_on_the_tool_tells_points_in_the_world_by_the_tools_reading(place, yaw):
    own = replace(DEPTH, link="arm/hand")
    tool = torch.tensor([*place, yaw]).float()
    readings = torch.cat([torch.zeros(1), (tool - torch.tensor(TCP.mean)) / torch.tensor(TCP.std)])[None]
    points = np.random.default_rng(0).normal(size=(4, 3))
    found = Mounting(own, (WIDTH, TCP))(torch.tensor(points).float()[None], readings)
    hand = frames.compose(frames.tool_pose(np.array(place), TURN, yaw), np.array(HAND))
    assert np.allclose(found[0].detach(), frames.apply(frames.compose(hand, np.array(POSE)), points), atol=1e-4)


@pytest.mark.parametrize("link", ["other/hand", "arm/hand"])
def test_a_camera_is_known_on_a_tool_that_carries_it(link):
    assert Mounting(replace(DEPTH, link=link), (WIDTH, TCP)).known == (link == "arm/hand")


def test_a_place_is_the_point_that_is_chosen_and_nothing_else_of_the_truth_moves():
    torch.manual_seed(0)
    sight = Sighting((TARGET,), (TCP,), (DEPTH,), 2, 8, 16)
    assert spots((TARGET,)) == [(1, 2, 3)] and spots((WIDTH, TCP)) == [(1, 2, 3)]
    yes = torch.ones(1, dtype=torch.bool)
    percept = Percept(
        torch.randn(1, 8), torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.bool), yes, torch.zeros(1, 1, 0),
        yes[None], torch.tensor([[[[0.1, 0.2, 0.7], [0.0, 0.0, 1.0]]]]), yes[None],
    )  # fmt: skip
    with torch.no_grad():
        sight.gate[-1].weight.zero_()
        sight.gate[-1].bias.copy_(torch.tensor([0.0, 0, 0, 50, 0, 0, 0, 0]))  # the first point; no shift
        found = sight(torch.zeros(1, 4), torch.randn(1, 8), torch.zeros(1, 4), percept)
    place = found[0, 1:] * torch.tensor(TARGET.std[1:]) + torch.tensor(TARGET.mean[1:])
    assert np.allclose(place, frames.apply(np.array(POSE), np.array([[0.1, 0.2, 0.7]]))[0], atol=1e-5)


def test_points_that_are_not_sure_are_never_chosen():
    sight = Sighting((TARGET,), (TCP,), (DEPTH,), 2, 8, 16)
    yes, no = torch.ones(1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.bool)
    far = torch.full((1, 1, 2, 3), 1e6)
    percept = Percept(
        torch.randn(1, 8), torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.bool), yes, torch.zeros(1, 1, 0), no, far, no
    )
    assert sight(torch.zeros(1, 4), torch.randn(1, 8), torch.zeros(1, 4), percept).abs().max() < 100


def test_a_camera_on_the_arm_is_where_the_tools_reading_says(sorting):
    spec = sorting.change({f"sensors.{name}.off": ["repeatability"] for name in ("tcp",)})
    spec = spec.change({"sensors.tcp.offset_error": [0.0, 0.0, 0.0, 0.0]})
    points = np.random.default_rng(1).normal(size=(5, 3))
    with Cell(spec) as cell:
        cell.reset(3)
        every = record(cell, rooms.build("policies", "expert", spec=spec), 40, 3, noise=0.2)
        signals = {str(name): signal_of(str(name), every[name]) for name in ("tcp", "wrist_depth")}
        tcp = replace(signals["tcp"], mean=(0.0,) * 4, std=(1.0,) * 4)
        mount = Mounting(signals["wrist_depth"], (tcp,))
        pose = np.array(signals["wrist_depth"].camera[9:])
        links = list(every["link_pose"].attrs["labels"])
        for tick in (0, 20, 39):
            hand = every["link_pose"].values[tick, links.index("arm/panda_hand")].astype(float)
            found = mount(torch.tensor(points).float()[None], torch.tensor(every["tcp"].values[tick])[None])
            wanted = frames.apply(frames.compose(hand, pose), points)
            assert mount.carried and np.allclose(found[0], wanted, atol=2e-3), np.abs(found[0] - wanted).max()


def plate(seed: int, ticks: int = 8) -> xr.Dataset:
    """Still pictures of a red block on a grey plate, each at another place, and where it is in the world."""
    rng = np.random.default_rng(seed)
    lens, size = (30.0, 30.0, 15.5, 11.5), (24, 32)
    matrix = [lens[0], 0, lens[2], 0, lens[1], lens[3], 0, 0, 1]
    about = {"camera_matrix": matrix, "distortion": [0.0] * 5, "extrinsics": list(POSE), "link": ""}
    rgb, depth = np.full((ticks, *size, 3), 120, np.uint8), np.full((ticks, *size), 1.0, np.float32)
    rgb += rng.integers(0, 20, rgb.shape, dtype=np.uint8)
    target = np.empty((ticks, 3), np.float32)
    for t in range(ticks):
        row, column, z = rng.integers(2, 21), rng.integers(2, 29), rng.uniform(0.85, 0.95)
        rgb[t, row - 1 : row + 2, column - 1 : column + 2] = (220, 30, 30)
        depth[t, row - 1 : row + 2, column - 1 : column + 2] = z
        seen = np.array([[z * (column - lens[2]) / lens[0], z * (row - lens[3]) / lens[1], z]])
        target[t] = frames.apply(np.array(POSE), seen)[0]
    vector = {"kind": "vector", "role": "truth", "units": "m m m", "labels": ["x", "y", "z"]}
    limits = {"kind": "vector", "role": "action", "units": "1", "low": [-1.0], "high": [1.0]}
    read = {"kind": "vector", "role": "reading", "units": "1"}
    return xr.Dataset(
        {
            "top_rgb": (("time", "row", "column", "channel"), rgb, {"kind": "image", "role": "reading", "units": "1"}),
            "top_depth": (("time", "row", "column"), depth, {"kind": "depth", "role": "reading", "units": "m"} | about),
            "dial": (("time", "one"), rng.normal(size=(ticks, 1)).astype(np.float32), read),
            "target": (("time", "axis"), target, vector),
            "action": (("time", "actuator"), np.zeros((ticks, 1), np.float32), limits),
        },
        coords={"time": np.arange(ticks) * 0.05},
        attrs={"seed": seed, "tick": 0.05},
    )


@pytest.mark.parametrize("shift", [0, 4])
def test_a_part_is_found_to_a_fraction_of_a_pixel_after_a_few_steps(shift):
    seeing = Stage(steps=150, batch=32, window=1, horizon=0, starts=1, rate=4e-3)
    following = Stage(steps=1, batch=2, window=2, horizon=1, starts=1, rate=1e-6)
    model = fit([plate(seed) for seed in range(60)], Fit(seeing, following, shift=shift, size=Size(32, 32, 8, 2, 2)))
    tracks, _ = hold([plate(seed) for seed in range(900, 910)], model.signals)
    wanted = np.concatenate([track.values["target"] for track in tracks])
    shown = {n: torch.from_numpy(np.concatenate([k.values[n] for k in tracks])) for n in model.readings}
    with torch.no_grad():
        found = model.heads(model.update(model.initial(len(wanted)), shown))["target"].numpy()
    off = np.linalg.norm(found - wanted, axis=1)
    assert np.median(off) < 0.012, np.median(off)  # a pixel is 30 mm; always telling the middle is 280 mm off
