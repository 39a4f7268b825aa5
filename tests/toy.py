"""A toy line for fast tests: a coloured dot drifts over a plate, a tool follows it, a camera looks down on both."""

import numpy as np
import xarray as xr

from twinlab.model import Size
from twinlab.model.imitation import Cloning
from twinlab.train import Fit, Stage

EDGE = 32  # of the pictures [pixel]
SPAN = 0.8  # what the camera sees, centred on 0 [m]
COLOURS = ("red", "green")
LIMIT = 0.5  # of the tool [m/s]
TICK = 0.05
SMALL = Fit(  # too small to learn anything
    seeing=Stage(steps=2, batch=4, window=1, horizon=0, starts=1, rate=1e-3),
    following=Stage(steps=2, batch=4, window=4, horizon=5, starts=2, rate=1e-3),
    cloning=Cloning(steps=20, batch=64),
    every=2,
    size=Size(32, 32, 8, 2, 2),
)


def episode(seed: int, ticks: int = 60, edge: int = EDGE, noise: float = 0.3) -> xr.Dataset:
    """An episode whose policy follows the dot; all of it follows from the seed."""
    rng = np.random.default_rng(seed)
    dot, colour = rng.uniform(-0.3, 0.3, 2), int(rng.integers(2))
    drift, tool = rng.uniform(-0.08, 0.08, 2), rng.uniform(-0.3, 0.3, 2)
    rows: list[dict[str, np.ndarray]] = []
    push = np.zeros(2)
    for t in range(ticks):
        push = 0.9 * push + noise * np.sqrt(1 - 0.9**2) * LIMIT * rng.normal(size=2)
        intent = np.clip(4 * (dot - tool), -LIMIT, LIMIT)
        action = np.clip(intent + push, -LIMIT, LIMIT)
        near = float(np.linalg.norm(dot - tool)) < 0.03
        rgb, depth = picture(dot, tool, colour, edge)
        rows.append(
            {
                "top_rgb": rgb,
                "top_depth": depth,
                "tool": np.array([*tool, np.sin(t / 5)], np.float32),
                "beam": np.array(dot[0] > 0),
                "target": dot.astype(np.float32),
                "target_present": np.array(True),
                "target_colour": np.array(colour),
                "goal": np.array([0.3, 0.3 if colour else -0.3], np.float32),
                "reward": np.array(near, np.float32),
                "part_pose": np.zeros((1, 7), np.float32),
                "action": action.astype(np.float32),
                "intent": intent.astype(np.float32),
            }
        )
        tool = tool + action * TICK
        dot = dot + drift * TICK
        drift = np.where(np.abs(dot) > 0.33, -np.sign(dot) * np.abs(drift), drift)
    return _dataset(rows, seed)


def episodes(count: int, first: int = 0, **settings: int) -> list[xr.Dataset]:
    """Episodes of seeds one after the other."""
    return [episode(first + i, **settings) for i in range(count)]


def picture(dot: np.ndarray, tool: np.ndarray, colour: int, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours (edge, edge, 3) and depth (edge, edge) with soft edges, so that places show finer than a pixel."""
    axis = (np.arange(edge) + 0.5) / edge * SPAN - SPAN / 2
    x, y = np.meshgrid(axis, axis)
    soft = SPAN / edge / 2

    def disc(at: np.ndarray, radius: float) -> np.ndarray:
        return 1 / (1 + np.exp((np.hypot(x - at[0], y - at[1]) - radius) / soft))

    part, arm = disc(dot, 0.05), disc(tool, 0.04)
    paint = np.array([[210, 40, 40], [40, 170, 60]])[colour]
    rgb = 60 + part[..., None] * (paint - 60)
    rgb = rgb + arm[..., None] * (235 - rgb)
    depth = 1.0 - 0.05 * part - 0.2 * arm
    depth[:2] = np.inf
    return rgb.round().astype(np.uint8), depth.astype(np.float32)


def _dataset(rows: list[dict[str, np.ndarray]], seed: int) -> xr.Dataset:
    pixel = ("top_row", "top_column")
    about = {
        "top_rgb": ((*pixel, "top_channel"), {"kind": "image", "units": "1"}),
        "top_depth": (pixel, {"kind": "depth", "units": "m"}),
        "tool": (("tool_axis",), {"kind": "vector", "units": "m m 1", "labels": ["x", "y", "phase"]}),
        "beam": ((), {"kind": "pulse", "units": "1"}),
        "target": (("target_axis",), _truth("vector", units="m m", labels=["x", "y"], given="target_present")),
        "target_present": ((), _truth("pulse")),
        "target_colour": ((), _truth("label", labels=list(COLOURS), given="target_present")),
        "goal": (("goal_axis",), _truth("vector", units="m", labels=["x", "y"], given="target_present")),
        "reward": ((), _truth("vector")),
        "part_pose": (("part", "pose_axis"), _truth("pose")),
        "action": (("actuator",), {"role": "action", "low": [-LIMIT] * 2, "high": [LIMIT] * 2, "kind": "vector"}),
        "intent": (("actuator",), {"role": "action", "low": [-LIMIT] * 2, "high": [LIMIT] * 2, "kind": "vector"}),
    }
    out = xr.Dataset(coords={"time": TICK * np.arange(len(rows)), "actuator": ["tool.x", "tool.y"]})
    for name, (dims, attrs) in about.items():
        values = np.stack([row[name] for row in rows])
        out[name] = (("time", *dims), values, {"role": "reading", "units": "1", **attrs})
    return out.assign_attrs(seed=seed, scene="toy", scene_digest="toy", tick=TICK, policy="follow", noise=0.3)


def _truth(kind: str, **more: object) -> dict[str, object]:
    return {"kind": kind, "role": "truth", "units": "1", **more}
