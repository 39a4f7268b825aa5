"""What holds a learned policy back: what it believes, or what it does with it.

The cloned policy runs a line as ever, but its actor is told some of the truth instead of what the model believes. What
it then gains is what perception costs; what is missing even when it is told all is what acting costs.

    python benchmarks/told.py LINE MODEL [--seeds N] [--ticks N]

LINE is a scene's name or file, MODEL a model's name or folder. Told are nothing, the step of each arm, the whole order
(step, aim and set-points of devices), or all truths that the actor uses. Prints `right_expert`, `right_nothing`,
`right_step`, `right_order` and `right_all`: the share of right items over validation seeds, with 95 % intervals.
"""

import argparse
import json
from dataclasses import dataclass

import numpy as np
import torch

from twinlab.cell import Cell
from twinlab.model.imitation import as_told
from twinlab.policies.cloned import Cloned, load
from twinlab.readings import Readings
from twinlab.scene import SceneSpec, read_scene
from twinlab.score import acting, score, summary
from twinlab.tasks import order_names

_FIRST = 55_000


@dataclass
class Told(Cloned):
    """The model's own actor, told the truth of these names where it has a value; it perceives and remembers as ever."""

    names: tuple[str, ...] = ()
    sees_truth: bool = True

    @torch.no_grad()
    def __call__(self, readings: Readings) -> np.ndarray:
        """Set-points (actuator,) of this tick."""
        self.perceive(readings)
        net = self.net
        says = net.estimates(net.truth(self.belief))
        for name in self.names:
            signal = net.signals[name]
            if not signal.given or readings[signal.given]:
                says[name] = as_told(signal, torch.from_numpy(np.asarray(readings[name])[None]))
        return self.done(readings, net.act(self.belief, says)[0].numpy())


def ways(spec: SceneSpec, model: str) -> dict[str, Told]:
    """What is told → the policy."""
    orders = order_names(spec.task)
    used = {
        "nothing": (),
        "step": tuple(n for n in orders if n.endswith("_step")),
        "order": orders,
        "all": tuple(s.name for s in load(model).actor.truth),
    }
    return {told: Told(model, spec, names=names) for told, names in used.items()}


def main() -> None:
    """Run all ways and print what each has right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("line")
    parser.add_argument("model")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--ticks", type=int)
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error(f"--seeds came as {given.seeds}; an interval over seeds needs 2 or more")
    spec = read_scene(given.line)
    seeds, ticks = range(_FIRST, _FIRST + given.seeds), given.ticks or spec.ticks
    with Cell(spec) as cell:
        policies = {"expert": acting("expert", spec)} | ways(spec, given.model)
        scores = {name: score(cell, policy, seeds, ticks, 1) for name, policy in policies.items()}
    found = summary(scores)["correct"]
    for name in scores:
        ends = {"value": "mean", "low": "low", "high": "high"}
        told = {key: round(float(found.sel(policy=name, statistic=end)), 3) for key, end in ends.items()}
        print(json.dumps({"name": f"right_{name}", **told, "unit": "1", "n": given.seeds}), flush=True)


if __name__ == "__main__":
    main()
