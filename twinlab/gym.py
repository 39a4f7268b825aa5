"""Lines as Gymnasium environments (Towers et al. 2024): importing this registers one for each scene.

`gymnasium.make("twinlab/Sorting-v0")` is the line of `scenes/sorting.toml`, `twinlab/MachineTending-v0` that of
`machine_tending.toml`. Observations are flat dictionaries of arrays and actions lie within ±1, so that what learns by
Gymnasium's API, such as Stable-Baselines3's `MultiInputPolicy`, takes a line as it is:

    import gymnasium, twinlab.gym
    from stable_baselines3 import PPO

    env = gymnasium.make("twinlab/Sorting-v0", ticks=300, pictures=False)
    PPO("MultiInputPolicy", env).learn(10_000)
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from twinlab import frames, renderers
from twinlab.bodies import Actuator
from twinlab.cell import Cell
from twinlab.episodes import SPLITS
from twinlab.errors import ActionError, CellError, ReadingsError, did_you_mean
from twinlab.frames import Intrinsics
from twinlab.kpi import reckoned
from twinlab.readings import Readings, Variable
from twinlab.renderers import View
from twinlab.scene import SceneSpec, read_scene, scene_names
from twinlab.snapshot import Snapshot

BOUND = 1e6  # no number of a line is larger, in SI units; what is, is cut to it
_OPEN = ("depth", "cloud", "range")  # kinds in which +inf says that nothing was seen
_PARKED = -5.0  # links below this are not on the line yet [m]
_PICTURE = Intrinsics.from_fov(640, 480, float(np.radians(32)))
_FROM = np.array([0.86, -0.62, 0.62])  # where the line is seen from


class LineEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A line to act on, tick by tick.

    Observation: a `Dict` of all readings, by their names.

    | reading | space |
    |---|---|
    | bool | `MultiBinary` |
    | a class (`label`) | `Discrete`, `MultiDiscrete` for several |
    | colours (uint8) | `Box` of 0 to 255, (row, column, channel) |
    | depth, range | `Box` from 0 [m]; 0 where nothing was seen, as depth cameras say it |
    | cloud | `Box` [m]; (0, 0, 0) where nothing was seen |
    | all other numbers | `Box` of ±`BOUND` in SI units, ±1 for normals; a single number has shape (1,) |

    Action: a `Box` of -1 to 1, one number an actuator; -1 is the actuator's `low`, 1 its `high`, and between them it is
    linear, so that 0 stands still where the limits are symmetric.

    Reward, and whether the episode has `terminated`, are the truths `reward` and `done` of the scene's task; one
    without `done` never terminates. The episode is truncated after `ticks`.

    `info` holds `events` of this tick, the twin's `seed`, `scene` and `scene_digest`, the episode's goal in words as
    `instruction`, and at the end of an episode `kpis`, as `kpi.kpis` would give them.

    Args:
        scene: the line: its name, a path to a TOML file or a spec.
        ticks: length of an episode, at which it is truncated; None for the scene's own `ticks`.
        pictures: whether the cameras' readings are observed; without them nothing is rendered.
        truth: whether the twin's truth is observed too, but for `reward` and `done`: what a privileged teacher or
            critic may see, and no policy on a real line.
        render_mode: "rgb_array", or None.
        camera: which of the scene's cameras `render` shows; "" for the whole line from its corner.

    Attributes:
        cell: the line that runs.

    Raises:
        SceneError, CellError, ReadingsError: what came for an argument does not fit.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        scene: str | Path | SceneSpec = "sorting",
        ticks: int | None = None,
        pictures: bool = True,
        truth: bool = False,
        render_mode: str | None = None,
        camera: str = "",
    ) -> None:
        line = scene if isinstance(scene, SceneSpec) else read_scene(scene)
        self.ticks = line.ticks if ticks is None else ticks
        _check(line, self.ticks, render_mode, camera)
        self.render_mode, self.truth, self.camera = render_mode, truth, camera
        self.metadata = type(self).metadata | {"render_fps": round(1 / line.physics.tick)}
        self.cell = Cell(line, without=() if pictures else line.pictures)
        self._view: View | None = None
        self._pose: np.ndarray | None = None
        self._busy: list[bool] = []
        self._told, self._over = 0, True
        self.action_space = spaces.Box(-1, 1, (len(self.cell.actuators),), np.float32)
        try:
            self._shown = self._variables()
            self.observation_space = spaces.Dict({v.name: space(v) for v in self._shown})
        except BaseException:
            self.close()
            raise

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: of `np_random`, from which the twin's seed of this and each later episode is drawn, evenly from the
                training range 0 to 49,999; None goes on with it.
            options: `{"episode_seed": 60_001}` takes this seed of the twin instead, the very episode that
                `record(cell, policy, ticks, seed=60_001)` is; from 60,000 to 69,999 they are for testing.

        Raises:
            CellError: an unknown option, a seed that is none, or a closed environment.
        """
        super().reset(seed=seed)  # Gymnasium's contract: it seeds np_random
        drawn = int(self.np_random.integers(*SPLITS["train"]))  # always, so that an option changes no later episode
        options = options or {}
        for key in options:
            if key != "episode_seed":
                raise CellError(
                    f"reset: no option {key!r}; there is 'episode_seed'.{did_you_mean(key, ['episode_seed'])}"
                )
        readings = self.cell.reset(options.get("episode_seed", drawn))
        self._shown = self._variables()
        if (now := spaces.Dict({v.name: space(v) for v in self._shown})) != self.observation_space:
            raise ReadingsError(
                f"reset: the readings of seed {self.cell.seed} came as {now}, wanted {self.observation_space}, as of "
                f"seed 0; a line on which they differ between seeds can be no environment"
            )
        self._busy, self._told, self._over = [], 0, False
        return self._observed(readings), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Run one tick.

        Args:
            action: (actuator,) within ±1; what lies beyond is cut.

        Raises:
            ActionError: a wrong shape or a number that is not finite; the line stays as it was.
            CellError: the episode is over or has not begun, or the environment is closed.
        """
        if self._over:
            raise CellError("step: no episode runs; call reset() first, and after each that terminated or truncated")
        busy = bool(self.cell.truth["busy"])
        readings = self.cell.step(setpoints(action, self.cell.actuators))
        self._busy.append(busy)  # as `record` keeps it: what was so before each action
        truth, info = self.cell.truth, self._info()
        terminated, truncated = bool(truth.get("done", False)), len(self._busy) >= self.ticks
        self._over = terminated or truncated
        if self._over:
            spec = self.cell.spec
            found = reckoned(self.cell.events, np.array(self._busy), spec.physics.tick, spec.planned_run_time)
            info["kpis"] = asdict(found)
        return self._observed(readings), float(truth["reward"]), terminated, truncated, info

    def render(self) -> np.ndarray:
        """The picture of now, uint8 (row, column, 3).

        Raises:
            CellError: the environment was made without a `render_mode`, or is closed.
            RendererError: this machine cannot render.
        """
        if self.render_mode is None:
            raise CellError('render: render_mode came as None; make the environment with render_mode="rgb_array"')
        if self.camera:
            return self.cell.picture(self.camera).rgb
        snapshot = self.cell.snapshot()
        if self._view is None:
            self._view = renderers.open_view(self.cell.spec.renderer)
        if self._pose is None:
            self._pose = overview(snapshot, _PICTURE)
        return self._view.render(snapshot, _PICTURE, self._pose).rgb

    def close(self) -> None:
        """Give back the physics and the renderers; calling it twice does no harm."""
        self.cell.close()
        if self._view is not None:
            self._view.close()
            self._view = None

    def _variables(self) -> tuple[Variable, ...]:
        """What is observed in this episode."""
        for name in ("reward", "busy"):
            if name not in self.cell.truth:
                raise ReadingsError(
                    f"{self.cell.spec.name}: its task tells no truth {name!r}, which an environment needs; "
                    f"there are {sorted(self.cell.truth)}"
                )
        hidden = ("reward", "done")
        every = [v for v in self.cell.variables if v.role == "reading" or (self.truth and v.name not in hidden)]
        return tuple(v for v in every if np.prod(v.shape))  # without such as the parts of a line that has none

    def _observed(self, readings: Readings) -> dict[str, Any]:
        seen: Mapping[str, np.ndarray] = {**readings, **self.cell.truth}
        return {v.name: observed(seen[v.name], v) for v in self._shown}

    def _info(self) -> dict[str, Any]:
        spec, events = self.cell.spec, self.cell.events
        new, self._told = list(events[self._told :]), len(events)
        told = {"seed": self.cell.seed, "scene": spec.name, "scene_digest": spec.digest}
        return {"events": new, **told, "instruction": self.cell.task.instruction()}


def space(variable: Variable) -> spaces.Space[Any]:
    """The space of a reading, see `LineEnv`."""
    shape, dtype, kind = variable.shape or (1,), np.dtype(variable.dtype), variable.kind
    if kind == "label" and variable.labels:
        count = len(variable.labels)
        return spaces.MultiDiscrete(np.full(shape, count)) if variable.shape else spaces.Discrete(count)
    if dtype.kind == "b":
        return spaces.MultiBinary(shape if len(shape) > 1 else shape[0])
    low, high = _bounds(variable)
    return spaces.Box(low, high, shape, dtype.type)


def observed(value: np.ndarray, variable: Variable) -> Any:
    """A reading's value as an element of its space: a copy, finite, within the bounds."""
    if variable.kind == "label" and variable.labels:
        return np.array(value, np.int64) if variable.shape else np.int64(value)
    if value.dtype.kind == "b":
        return value.reshape(variable.shape or (1,)).astype(np.int8)
    if variable.kind in _OPEN:
        value = np.where(np.isfinite(value), value, value.dtype.type(0))
    low, high = _bounds(variable)
    return np.clip(value.reshape(variable.shape or (1,)), low, high).astype(variable.dtype)


def setpoints(action: np.ndarray, actuators: tuple[Actuator, ...]) -> np.ndarray:
    """The set-points (actuator,) that an action (actuator,) within ±1 stands for.

    Raises:
        ActionError: no numbers, or another shape.
    """
    names = [a.name for a in actuators]
    try:
        given = np.asarray(action, np.float64)
    except (TypeError, ValueError) as told:
        raise ActionError(f"action: came {action!r}; wanted {len(names)} numbers within ±1, for {names}") from told
    if given.shape != (len(names),):
        raise ActionError(f"action: came shape {given.shape}, wanted ({len(names)},), within ±1, for {names}")
    low, high = (np.array([getattr(a, side) for a in actuators], np.float64) for side in ("low", "high"))
    return low + (np.clip(given, -1, 1) + 1) / 2 * (high - low)


def overview(snapshot: Snapshot, lens: Intrinsics) -> np.ndarray:
    """The optical pose (7,), aimed at the line's middle, from which a picture just holds the whole line."""
    shown = [v for v in snapshot.visuals if snapshot.poses[v.link, 2] > _PARKED]
    placed = [frames.apply(snapshot.poses[v.link], frames.apply(v.pose, v.mesh.vertices)) for v in shown]
    points = np.concatenate(placed)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    x, y, z = frames.apply(frames.inverse(frames.look_at(tuple(middle), tuple(middle - _FROM))), points).T
    reach = np.abs([x * lens.fx / lens.width, y * lens.fy / lens.height]).max(axis=0) * 2
    return frames.look_at(tuple(middle + 1.05 * (reach - z).max() * _FROM / np.linalg.norm(_FROM)), tuple(middle))


def env_id(scene: str) -> str:
    """The name by which a scene is made: "machine_tending" → "twinlab/MachineTending-v0"."""
    return f"twinlab/{''.join(part.capitalize() for part in scene.replace('-', '_').split('_'))}-v0"


def register() -> None:
    """Register an environment for each scene that has none; importing this module does so."""
    for scene in scene_names():
        if env_id(scene) not in gymnasium.registry:
            gymnasium.register(env_id(scene), entry_point="twinlab.gym:LineEnv", kwargs={"scene": scene})


def _bounds(variable: Variable) -> tuple[float, float]:
    dtype = np.dtype(variable.dtype)
    if dtype == np.uint8:
        return 0, 255
    if dtype.kind in "iu":
        kept = np.iinfo(dtype)
        return max(-BOUND, kept.min), min(BOUND, kept.max)
    if variable.kind == "normals":
        return -1, 1
    return (0 if variable.kind in ("depth", "range") else -BOUND), BOUND


def _check(line: SceneSpec, ticks: int, render_mode: str | None, camera: str) -> None:
    if not isinstance(ticks, int | np.integer) or ticks < 1:
        raise CellError(f"ticks came as {ticks!r}; an episode has at least 1")
    if render_mode not in (None, *LineEnv.metadata["render_modes"]):
        raise CellError(f"render_mode came as {render_mode!r}; wanted 'rgb_array', or None for no pictures")
    if camera and camera not in line.cameras:
        known = list(line.cameras)
        raise CellError(f"camera: no {camera!r}; there are {known}.{did_you_mean(camera, known)}")


register()
