"""No goal: a line that only runs, as one that is being built does."""

import numpy as np

from twinlab.events import Event, Item
from twinlab.language import Meaning
from twinlab.readings import Readings, Variable
from twinlab.tasks import Stage, Step, Task


class Free(Task):
    """Nothing is wanted and nothing is judged; a scene without a task has this one."""

    def arms(self) -> tuple[str, ...]:
        """Nobody is ordered about."""
        return ()

    def meaning(self) -> Meaning:
        """To watch."""
        return Meaning("watch", "")

    def instruction(self) -> str:
        """In words."""
        return "Watch the line run."

    def steps(self) -> tuple[Step, ...]:
        """None."""
        return ()

    def variables(self, items: tuple[Item, ...]) -> tuple[Variable, ...]:
        """What every line tells: the reward, whether the robot works on an item, and where the items are."""
        names = tuple(item.name for item in items)
        return (
            Variable("reward", (), (), "float32", "1", "vector", "truth"),
            Variable("busy", (), (), "bool", "1", "pulse", "truth"),
            Variable("part_pose", ("part", "pose_axis"), (len(names), 7), "float32", "m", "pose", "truth"),
            Variable("part_present", ("part",), (len(names),), "bool", "1", "mask", "truth", names),
        )

    def observe(self, stage: Stage, state: None) -> tuple[Readings, tuple[Event, ...], None]:
        """No reward, no work, the items as they are."""
        truth = {
            "reward": np.array(0, np.float32),
            "busy": np.array(False),
            "part_pose": np.array(list(stage.poses.values()), np.float32).reshape(-1, 7),
            "part_present": np.array([item.name in stage.spawned for item in stage.items], bool),
        }
        return truth, (), None
