"""What an instruction means, apart from the words that say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Meaning:
    """A goal as slots, the same for the instruction, the task and the planner's cost.

    Attributes:
        task: the verb, such as "sort".
        attribute: by which property items are told apart, such as "colour" or "shape".
        destination: value of that property → name of the place.
        scrap: name of the place for defective items, "" if defects are ignored.
        counts: value of that property → how many are wanted, in the order in which they are asked for; {} for all that
            there are.
        settings: place → what is to be set there, in SI units, {} if nothing is.
    """

    task: str
    attribute: str
    destination: Mapping[str, str] = field(default_factory=dict)
    scrap: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)

    def place(self, properties: Mapping[str, str], defective: bool) -> str:
        """The place where an item of these properties belongs, "" if the goal names none."""
        if defective and self.scrap:
            return self.scrap
        return self.destination.get(properties.get(self.attribute, ""), "")

    def numbers(
        self, kinds: Mapping[str, Sequence[str]], centres: Mapping[str, Sequence[float]]
    ) -> dict[str, tuple[float, str]]:
        """The goal as numbers with units, by name: what a model is told of it.

        Where something belongs is told as a place in space, not as a name: "colour red: named, x, y, z". What the goal
        does not name is 0. Of what is counted its turn is told too, from 1. The names follow from the line and the kind
        of goal, not from what an episode's goal is.

        Args:
            kinds: property → values, of the items that the line's bodies bring.
            centres: place → its middle (x, y, z) [m].
        """
        out: dict[str, tuple[float, str]] = {}
        values = {(key, value) for key, known in kinds.items() for value in known}
        told = {value for _, value in values}
        values |= {(self.attribute, value) for value in self.destination if value not in told}
        for key, value in sorted(values):
            place = self.destination.get(value, "") if key == self.attribute else ""
            out |= _told(f"{key} {value}", centres.get(place))
        if self.scrap:
            out |= _told("scrap", centres.get(self.scrap))
        out |= {f"{value} count": (float(count), "1") for value, count in sorted(self.counts.items())}
        turns = {value: turn for turn, value in enumerate((v for v, count in self.counts.items() if count), 1)}
        out |= {f"{value} turn": (float(turns.get(value, 0)), "1") for value in sorted(self.counts)}
        return out | {f"{place} setting": (float(value), "1") for place, value in sorted(self.settings.items())}


def _told(name: str, centre: Sequence[float] | None) -> dict[str, tuple[float, str]]:
    place = (0.0, 0.0, 0.0) if centre is None else tuple(float(x) for x in centre)
    axes = {f"{name} {axis}": (x, "m") for axis, x in zip("xyz", place, strict=True)}
    return {f"{name} named": (float(centre is not None), "1"), **axes}
