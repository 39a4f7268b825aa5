"""Tables of held-out episodes: what a model foresees and perceives, and whether its doubt is right."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from twinlab import evaluate
from twinlab.files import fingerprint, whole
from twinlab.model import WorldModel
from twinlab.results._document import Target, verdicts
from twinlab.results._runs import Tell

_WITHIN = 0.04  # by how much an interval's share may be off
_AHEAD = (0.5, 1.0)  # where the model must be better than all baselines [s]


@dataclass(frozen=True, eq=False)
class Held:
    """A model and the episodes that it is judged by.

    Attributes:
        model: the model.
        weights: digest of its weights' file.
        episodes: held out.
        training: some of those that it was trained on; the baselines of `predict` are fitted on them.
        folder: where results are kept, one JSON file each.
    """

    model: WorldModel
    weights: str
    episodes: Sequence[xr.Dataset]
    training: Sequence[xr.Dataset]
    folder: Path

    def result(self, part: str, found: Callable[[], xr.Dataset], tell: Tell) -> xr.Dataset:
        """What a part found, or what it did with the same weights and calibration on the same episodes.

        Args:
            part: its name.
            found: what finds it, called if it is not kept.
            tell: called with the part, how much of it is done, of how much.
        """
        episodes = [
            [_of(one) for one in every] for every in (self.episodes, self.training if part == "prediction" else ())
        ]
        what: dict[str, object] = {"part": part, "weights": self.weights, "episodes": episodes}
        if part != "prediction" and self.model.calibration is not None:
            what["calibration"] = self.model.calibration.table()
        file = self.folder / f"{part}-{fingerprint(what, 24)}.json"
        tell(part, 0, 1)
        if file.is_file():
            out = xr.Dataset.from_dict(json.loads(file.read_text(encoding="utf-8")))
        else:
            out = found()
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole(file, lasting=True) as draft:
                draft.write_text(json.dumps(out.to_dict()), encoding="utf-8")
        tell(part, 1, 1)
        return out


def prediction(held: Held, tell: Tell) -> str:
    """Every reading some time ahead, against what needs no model, as markdown."""
    out = held.result("prediction", lambda: evaluate.predict(held.model, held.episodes, held.training), tell)
    told = f"Baselines are fitted on {len(held.training)} of the training episodes; horizons 0.25, 0.5, 1 and 2 s."
    return f"{verdicts(foreseen(out))}\n\n{told}\n\n{evaluate.markdown(out)}"


def perception(held: Held, tell: Tell) -> str:
    """Where things are and what they are, from all readings, with each one removed and under noise, as markdown."""
    out = held.result("perception", lambda: evaluate.perceive(held.model, held.episodes), tell)
    return evaluate.markdown(out)


def calibration(held: Held, tell: Tell) -> str:
    """How often the truth lies in the intervals that the model believes, as markdown."""
    out = held.result("calibration", lambda: evaluate.coverage(held.model, held.episodes), tell)
    return f"{verdicts(covered(out))}\n\n{evaluate.markdown(out)}"


def foreseen(found: xr.Dataset) -> list[Target]:
    """What is asked of predictions: better where something happens, and nowhere worse.

    Args:
        found: what `evaluate.predict` gave.
    """
    out = []
    for ahead in [float(a) for a in found["ahead"].values if float(a) in _AHEAD]:
        one = found.sel(ahead=ahead)
        moving = [str(r) for r in one["reading"].values[one["moves"].values.astype(bool)]]
        told = {name: str(one["finding"].sel(reading=name, window="eventful").values) for name in moving}
        known = {name: finding for name, finding in told.items() if finding}
        lacking = [name for name, finding in known.items() if finding != "better"]
        said = f"{len(known) - len(lacking)} of {len(known)} readings that move" + _but(lacking)
        name = f"better than all three baselines {ahead:g} s ahead where something happens"
        out.append(Target(name, said, not lacking if known else None))
    worse, count = [], 0
    for ahead in found["ahead"].values:
        windows = ["quiet"] if float(ahead) in _AHEAD else ["eventful", "quiet"]
        one = found.sel(ahead=ahead, window=windows)
        moving = one["reading"].values[one["moves"].values.astype(bool)]
        findings = one["finding"].sel(reading=moving)
        count += int(np.sum(findings.values != ""))
        worse += [
            f"{r} ({float(ahead):g} s, {w})"
            for r in moving
            for w in windows
            if str(findings.sel(reading=r, window=w).values) == "worse"
        ]
    said = f"worse in {len(worse)} of {count} cases" + (f": {', '.join(worse)}" if worse else "")
    return [*out, Target("not worse than the best baseline elsewhere", said, not worse if count else None)]


def covered(found: xr.Dataset) -> list[Target]:
    """What is asked of a model's doubt: intervals hold what they say, within 4 points, for each truth and horizon.

    Args:
        found: what `evaluate.coverage` gave.
    """
    out = []
    for level in found["level"].values:
        shares = found["share"].sel(level=level)
        known = shares.values[np.isfinite(shares.values)]
        off = np.abs(known - float(level))
        good = int((off <= _WITHIN + 1e-9).sum())
        said = (
            f"{good} of {len(known)}; mean {100 * known.mean():.1f} %, {known.min():.2f} to {known.max():.2f}"
            if len(known)
            else "–"
        )
        name = f"{100 * float(level):g} % intervals hold {100 * float(level):g} ± 4 % of each truth, at each horizon"
        out.append(Target(name, said, good == len(known) if len(known) else None))
    return out


def _but(names: Sequence[str]) -> str:
    return f"; not: {', '.join(names)}" if names else ""


def _of(episode: xr.Dataset) -> list[str]:
    """What tells one episode from another."""
    return [str(episode.attrs.get(key, "")) for key in ("scene_digest", "seed", "policy", "noise")] + [
        str(episode.sizes["time"])
    ]
