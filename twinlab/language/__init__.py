"""What an instruction means, apart from the words that say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Meaning:
    """A goal as slots, the same for the instruction, the task and the planner's cost.

    Attributes:
        task: the verb, such as "sort".
        attribute: by which property items are told apart, such as "colour" or "shape".
        destination: value of that property → name of the place.
        scrap: name of the place for defective items, "" if defects are ignored.
        counts: value of that property → how many are wanted, {} for all that there are.
    """

    task: str
    attribute: str
    destination: Mapping[str, str] = field(default_factory=dict)
    scrap: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    def place(self, properties: Mapping[str, str], defective: bool) -> str:
        """The place where an item of these properties belongs, "" if the goal names none."""
        if defective and self.scrap:
            return self.scrap
        return self.destination.get(properties.get(self.attribute, ""), "")
