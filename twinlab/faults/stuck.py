"""An actuator that does not listen."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from twinlab.faults import Fault, Target


class Stuck(Fault):
    """An actuator, or all of a body's, keeps the set-point of the onset or gets none: a hung drive, a lost bus."""

    target: ClassVar[Target] = "actuator"
    at: Literal["zero", "held"] = Field("zero", description='which set-point stays: none, or "held" at the onset')

    def command(self, values: Mapping[str, float], held: Mapping[str, float], level: float) -> Mapping[str, float]:
        """A mixture of what is asked for and what it is stuck at."""
        stuck = held if self.at == "held" else dict.fromkeys(values, 0.0)
        return {name: (1 - level) * value + level * stuck[name] for name, value in values.items()}
