"""The rigid program: the task's steps at the nominal line's times, places and order, without perception."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab import rooms
from twinlab.events import Item
from twinlab.language import Meaning
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene
from twinlab.skills import Aim, Now, Skill

_GRASP, _RELEASE = 0.4, 0.3  # how long the fingers are given to close and to open [s]


@dataclass
class Program:
    """What a teach-in programmer would leave behind: it is right as long as the line is as planned.

    Of the readings it uses only the robot's own pose and gripper, as any robot controller does.

    Attributes:
        spec: the line; its nominal form is what the program was written for.
    """

    spec: SceneSpec = field(default_factory=lambda: read_scene("sorting"))
    sees_truth: bool = False
    sees_pictures: bool = False

    def __post_init__(self) -> None:
        nominal = self.spec.vary(0)
        rng = np.random.default_rng(0)  # nothing varies, so nothing is drawn from it that matters
        self._items: tuple[Item, ...] = tuple(i for name, b in nominal.bodies.items() for i in b.schedule(name, rng))
        self._skills: dict[str, Skill] = {s.what: rooms.build("skills", s.skill) for s in nominal.task.steps()}
        self._wait: Skill = rooms.build("skills", "wait")
        task: Any = nominal.task
        belt: Any = nominal.bodies[task.belt]
        self._task = task
        self._top = belt.region().low[2]
        arm: Any = nominal.bodies["arm"]
        self._velocity = belt.speed * belt.direction()
        self._home = np.array(arm.home[:3])

    def reset(self, seed: int, meaning: Meaning) -> None:
        """Begin with the first part."""
        self._meaning = meaning
        self._tick, self._next, self._holds, self._count = 0, 0, False, 0

    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (5,) of this tick."""
        now = Now(readings["tcp"].astype(float), float(readings["width"]))
        tick = self.spec.physics.tick
        time = self._tick * tick
        self._tick += 1
        if self._next == len(self._items):
            return self._wait.act(now, Aim(self._home))
        item = self._items[self._next]
        if self._holds:
            return self._bring(now, item, tick)
        at = np.array(item.pose[:3]) + self._velocity * (time - item.time)
        at[2] = self._top + item.height / 2
        low, high = self._task.window
        where = at[self._task.along]
        if not low < where < high:
            if time > item.time and (where - high) * self._velocity[self._task.along] > 0:
                self._next += 1  # too late for this one
            return self._wait.act(now, Aim(self._home))
        action = self._skills["target"].act(now, Aim(at, 0.0, tuple(self._velocity)))
        self._turn(action[4] < 0, _GRASP, tick)
        return action

    def _bring(self, now: Now, item: Item, tick: float) -> np.ndarray:
        """Carry the part, held or not, to where the nominal one belongs."""
        region = self.spec.bodies[self._meaning.place(item.properties, bool(item.defect))].region()
        assert region is not None  # the scene was checked: a goal's places are bins
        goal = np.array([*region.centre[:2], region.high[2]])
        action = self._skills["goal"].act(now, Aim(goal))
        if self._turn(action[4] > 0, _RELEASE, tick):
            self._next += 1
        return action

    def _turn(self, moving: bool, duration: float, tick: float) -> bool:
        """Count the ticks for which the fingers move; after the duration the program goes on to its next step."""
        self._count += moving
        if self._count * tick < duration:
            return False
        self._count, self._holds = 0, not self._holds
        return True
