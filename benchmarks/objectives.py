"""Which objective trains the best model: what is foreseen and perceived on validation episodes, several seeds each.

All that a model learns from single ticks is the same for all objectives, so that each seed learns it once; then each
objective trains on from there on windows of ticks. The truth's heads are in all of them, since a line is controlled by
what they tell; the objectives differ in what else shapes the belief:

- "truth": the heads, vector readings and pulses ahead, and nothing else;
- "latent": also the latent ahead, without reconstruction (SPR, Schwarzer et al. 2021);
- "reconstruction": also pictures decoded from the recurrent belief (World Models, Ha and Schmidhuber 2018);
- "both": latent and reconstruction.

    python benchmarks/objectives.py STORE [--seeds N] [--seeing N] [--following N] [--cloning N]
        [--episodes N] [--validation N]

STORE is a folder that `twinlab quickstart` or `twinlab record` filled; training episodes are those with seeds below
50,000, figures those of its validation episodes. Prints `foreseen_…` (error of vector readings 0.5 s ahead over the
training standard deviation), `place_…` (median distance of each truth's place [m]) and `action_…` (the actor's cost),
each the mean over seeds with the lowest and the highest, and a table in markdown.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import xarray as xr

from twinlab.evaluate import foresee, localise
from twinlab.intervals import interval
from twinlab.model.objective import Weights
from twinlab.store import EpisodeStore
from twinlab.train import Fit, fit

OBJECTIVES = {
    "truth": Weights(latent=0.0, pictures=0.0),
    "latent": Weights(pictures=0.0),
    "reconstruction": Weights(latent=0.0),
    "both": Weights(),
}


class Some:
    """Some of a store's episodes, read anew each time."""

    def __init__(self, store: EpisodeStore, which: list[int]) -> None:
        self.store, self.which = store, which

    def __iter__(self) -> Iterator[xr.Dataset]:
        return (self.store[i] for i in self.which)

    def __len__(self) -> int:
        return len(self.which)


def figures(training: Some, validation: Some, settings: Fit) -> dict[str, dict[str, float]]:
    """Objective → figure → its value, for one seed."""
    both = Some(training.store, training.which + validation.which)
    once = replace(settings, following=replace(settings.following, steps=1), cloning=replace(settings.cloning, steps=1))
    seeing = fit(both, once)
    found = {}
    for name, weights in OBJECTIVES.items():
        on = replace(settings, seeing=replace(settings.seeing, steps=1, rate=1e-9), weights=weights)
        model = fit(both, on, start=seeing)
        ahead = foresee(model, validation, training).sel(without="", predictor="model")
        places = localise(model, validation).sel(without="")
        found[name] = {"foreseen": float(ahead["mean"]), "action": float(model.card["Metrics"]["val_action"])}
        found[name] |= {f"place {p}": float(places["median"].sel(place=p)) for p in places["place"].values}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seeing", type=int, default=Fit().seeing.steps)
    parser.add_argument("--following", type=int, default=Fit().following.steps)
    parser.add_argument("--cloning", type=int, default=Fit().cloning.steps)
    parser.add_argument("--episodes", type=int, default=42, help="of training, at most")
    parser.add_argument("--validation", type=int, default=12, help="episodes of validation, at most")
    asked = parser.parse_args()
    store, plain = EpisodeStore(asked.store), Fit()
    seeds = [int(told["seed"]) for told in store.attrs()]
    training = Some(store, [i for i, seed in enumerate(seeds) if seed < 50_000][: asked.episodes])
    validation = Some(store, [i for i, seed in enumerate(seeds) if 50_000 <= seed < 60_000][: asked.validation])
    stages = {
        name: replace(getattr(plain, name), steps=getattr(asked, name)) for name in ("seeing", "following", "cloning")
    }
    every = [figures(training, validation, replace(plain, seed=seed, **stages)) for seed in range(asked.seeds)]
    columns = list(every[0]["truth"])
    lines = ["| objective | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    for name in OBJECTIVES:
        cells = []
        for column in columns:
            values = np.array([one[name][column] for one in every])
            ends = {"value": values.mean(), "low": values.min(), "high": values.max()}
            told = {key: round(float(value), 5) for key, value in ends.items()}
            unit = "m" if column.startswith("place") else "1"
            key = f"{column}_{name}".replace(" ", "_")
            print(json.dumps({"name": key, **told, "unit": unit, "n": len(values)}), flush=True)
            mean, low, high = interval(values)
            cells.append(f"{mean:.4f} [{low:.4f}, {high:.4f}]")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
