"""`improve`: plan with a model, record what really comes, add what else could have come, train on; round after round.

Where a policy goes is where its model must be right. So each round is recorded with the policy of the model so far,
while the expert says what it would do (DAgger, Ross et al. 2011), and other futures of the same moments are added (see
`counterfactual`). The model is trained on from where it is, on all that there is by then.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinlab.batches import Windows, hold
from twinlab.cell import Cell
from twinlab.collect import collect
from twinlab.counterfactual import WAYS, Way, counterfactuals
from twinlab.errors import ModelError
from twinlab.files import fingerprint, whole
from twinlab.intervals import interval
from twinlab.model import WorldModel
from twinlab.model.checkpoint import digest, find
from twinlab.model.imitation import Cloning
from twinlab.scene import SceneSpec, read_scene
from twinlab.score import acting, score, summary
from twinlab.store import EpisodeStore
from twinlab.train import Fit, Stage, fit

Tell = Callable[[str, int, int], None]
_VALIDATION = (50_000, 60_000)  # seeds
_FILES = ("config.json", "card.md", "model.safetensors")  # the weights last: a folder with weights is whole
_SHORT = Fit(
    seeing=Stage(steps=200, batch=64, window=1, horizon=0, starts=1, rate=1e-3),
    following=Stage(steps=300, batch=32, window=24, horizon=20, starts=2, rate=1e-3, fresh=0.125),
    cloning=Cloning(steps=2000, rate=1e-3),
)


@dataclass(frozen=True)
class Round:
    """How big each round is.

    Attributes:
        policy: who acts with the model so far, by name.
        episodes: recordings of it [1].
        ticks: length of each, and of the runs that are scored; None for the line's own [1].
        first: seed of the first; the next rounds' follow [1].
        noises: how much it is disturbed, in turn, see `episodes.record`.
        moments: of each recording, from which other futures are recorded; 0 for none [1].
        ahead: length of these futures [1].
        ways: policies of the line, by name, that go on from there, each as long as `ahead`; with `WAYS`.
        validation: how many seeds each round is scored on, from 50,000 on [1].
        workers: processes that simulate at once [1].
        fit: how the model is trained on.
    """

    policy: str = "planned"
    episodes: int = 6
    ticks: int | None = None
    first: int = 20_000
    noises: tuple[float, ...] = (0.0, 0.1)
    moments: int = 6
    ahead: int = 48
    ways: tuple[str, ...] = ("expert", "straying")
    validation: int = 10
    workers: int = 1
    fit: Fit = field(default_factory=lambda: _SHORT)

    def __post_init__(self) -> None:
        lows = {"episodes": 1, "first": 0, "moments": 0, "validation": 1, "workers": 1, "ticks": 1}
        for name, low in lows.items():
            came = getattr(self, name)
            if came is not None and came < low:
                raise ModelError(f"a round's {name} came as {came}; wanted {low} or more")
        if not self.noises:
            raise ModelError("a round's noises came as none; wanted at least one, (0.0,) for no disturbance")
        if self.validation > _VALIDATION[1] - _VALIDATION[0]:
            raise ModelError(f"a round's validation came as {self.validation}; there are 10000 such seeds")
        least = self.fit.following.window + self.fit.following.horizon
        for name, came in (("ticks", self.ticks), ("ahead", self.ahead if self.moments else None)):
            if came is not None and came < least:
                raise ModelError(
                    f"a round's {name} came as {came}; training looks at {least} ticks at a time and would pass over "
                    "all shorter ones; ask for longer ones, or for shorter windows"
                )

    def seeds(self, number: int) -> range:
        """Those that are recorded in a round, counted from 1."""
        begin = self.first + (number - 1) * self.episodes
        return range(begin, begin + self.episodes)


def improve(
    model: str | Path,
    scene: str | Path | SceneSpec,
    rounds: int = 3,
    out: str | Path = "data/runs/improve",
    settings: Round = Round(),
    data: str | Path | None = None,
    tell: Tell = lambda stage, done, of: None,
) -> xr.Dataset:
    """Improve a model by what comes of acting with it.

    Args:
        model: folder of the trained model, or the name of one that comes with twinlab.
        scene: the line.
        rounds: how many.
        out: folder for all of it: `store` with the recordings, the model of each round in `round-1` and so on, the best
            one in `best`. What is done there is not done again; more rounds can be asked for later.
        settings: how big each round is.
        data: folder of a store whose episodes of this line are trained on as well, such as those that the model was
            trained on; without them it forgets what it does not meet any more.
        tell: called with a stage's name, how much of it is done, and of how much.

    Returns:
        The scores on validation seeds over `round` (0 is the model that came) and `statistic`, as `score.summary` gives
        them. With them over `round`: `gained` (round, statistic), the mean over seeds of the share that is right minus
        that of round 0 on the same seed; `foreseen` and `came` (round,) [1/s], the reward that the model of the round
        before foresaw of what was really done in this round's recordings, and the one that came, NaN in round 0;
        `episodes` and `ticks` (round,), what the round's recordings and branches come to. Attributes name scene,
        policy and the `best` round: the first of those with the largest share right.

    Raises:
        ModelError: rounds, seeds or settings cannot be; `out` holds rounds of another kind; the model is missing or of
            another line.
    """
    spec = scene if isinstance(scene, SceneSpec) else read_scene(scene)
    last = settings.seeds(rounds).stop if rounds >= 1 else 0
    if rounds < 1 or last > _VALIDATION[0]:
        raise ModelError(
            f"rounds came as {rounds}, with seeds up to {last}; wanted 1 or more, and training seeds, which end at "
            f"{_VALIDATION[0]}"
        )
    folder = Path(out)
    _begin(folder, model, spec, settings, data)
    found, told = list[xr.Dataset](), list[Mapping[str, float]]()
    for number in range(rounds + 1):
        if number:
            told.append(_round(folder, spec, number, settings, data, tell))
        found.append(_scored(folder / f"round-{number}", spec, settings, tell, number))
    table = _table(found, told)
    best = int(np.argmax(table["correct"].sel(statistic="mean").fillna(-1.0).values))
    _copy(folder / f"round-{best}", folder / "best")
    about = {"scene": spec.name, "scene_digest": spec.digest, "policy": settings.policy, "best": best}
    return table.assign_attrs(about, split="val", weights=digest(folder / "best")[:16])


def optimism(
    model: WorldModel, episodes: Iterable[xr.Dataset], context: int = 24, ahead: int = 10
) -> tuple[float, float]:
    """The reward that a model foresees of what was done in episodes, and the one that came, in the mean [1/s].

    A planner picks what its model overrates, so that the first exceeds the second where the model errs.

    Args:
        model: as it was loaded.
        episodes: of its line, each longer than context and ahead together.
        context: ticks from which it believes [1].
        ahead: ticks whose actions it is told and whose reward it tells; windows follow each other so far apart [1].
    """
    model.requires_grad_(False)
    foreseen, came = [], []
    for episode in episodes:
        windows = Windows(hold([episode], model.signals)[0], model.signals, context, ahead)
        batch = windows.take(range(0, len(windows), ahead))
        readings = {name: value[:, :context] for name, value in batch.readings.items()}
        belief = model.observe(readings, batch.action[:, :context])[:, -1]
        beliefs = model.rollout(belief, batch.action[:, context - 1 : -1])
        foreseen.append(model.reward(beliefs.flatten(0, 1)).numpy())
        if "reward" in batch.truth:
            came.append(batch.truth["reward"][:, context:].flatten().numpy())
    if not came:
        return (float("nan"), float("nan"))
    each = 1 / model.signals.tick
    return float(np.concatenate(foreseen).mean() * each), float(np.concatenate(came).mean() * each)


def _begin(folder: Path, model: str | Path, spec: SceneSpec, settings: Round, data: str | Path | None) -> None:
    """Lay the first model into the folder, and what the rounds are; nothing if both are there."""
    kept = {name: value for name, value in asdict(settings).items() if name != "workers"}
    base = [] if data is None else [_store(data).digest(i) for i in _of_line(_store(data), spec)]
    if data is not None and not base:
        raise ModelError(f"data {str(data)!r} has no episode of {spec.name!r} as it is; collect some, or give none")
    came = _there(model, spec)
    what = {"model": digest(came), "scene": spec.digest, "settings": kept, "data": sorted(base)}
    made = fingerprint(what, 64)
    mark = folder / "rounds.json"
    if mark.is_file():
        if _read(mark) != made:
            raise ModelError(
                f"{str(folder)!r} holds rounds of another model, line, settings or data; give what they had, to go on, "
                "or another folder"
            )
        return
    _copy(came, folder / "round-0")
    _write(mark, made)


def _there(model: str | Path, spec: SceneSpec) -> Path:
    """The folder of a model of this line."""
    known, wanted = WorldModel.load(model).signals.actuators, tuple(a.name for a in spec.actuators)
    if known != wanted:
        raise ModelError(f"model {str(model)!r} moves {known}, {spec.name!r} has {wanted}; give a model of this line")
    return find(model)


def _store(path: str | Path) -> EpisodeStore:
    if not (Path(path) / "store.json").is_file():
        raise ModelError(f"data {str(path)!r} is no store of episodes; give the folder that collect() wrote")
    return EpisodeStore(path)


def _of_line(store: EpisodeStore, spec: SceneSpec) -> list[int]:
    """Indices of a line's episodes by seed and branch, whichever process was done first."""
    told = store.attrs()
    return sorted(
        store.select(scene_digest=spec.digest),
        key=lambda i: (int(told[i]["seed"]), int(told[i].get("branch", 0)), store.digest(i)),
    )


def _round(
    folder: Path, spec: SceneSpec, number: int, settings: Round, data: str | Path | None, tell: Tell
) -> Mapping[str, float]:
    """Record and train, as far as that is not done; gives what is told of the round's recordings."""
    before, now = folder / f"round-{number - 1}", folder / f"round-{number}"
    done = now / "recorded.json"
    if done.is_file() and (now / "model.safetensors").is_file() and not (now / "resume").is_dir():
        return _read(done)
    store = _recorded(folder, before, spec, number, settings, tell)
    mine = [i for i in _of_line(store, spec) if store.attrs()[i]["seed"] in settings.seeds(number)]
    told = [store.attrs()[i] for i in mine]
    trunks = (store[i] for i, one in zip(mine, told, strict=True) if "branch" not in one)
    following = settings.fit.following
    foreseen, came = optimism(WorldModel.load(before), trunks, following.window, max(1, following.horizon))
    numbers = {"foreseen": foreseen, "came": came, "episodes": len(mine), "ticks": sum(one["ticks"] for one in told)}
    _write(done, numbers)
    fit(
        _every(store, spec, settings.seeds(number).stop, data),
        settings.fit,
        now,
        lambda step, steps, _: tell(f"train {number}", step, steps),
        start=WorldModel.load(before),
    )
    return numbers


def _recorded(folder: Path, model: Path, spec: SceneSpec, number: int, settings: Round, tell: Tell) -> EpisodeStore:
    """The store with a round's recordings and their branches."""
    expert, policy, ticks = acting("expert", spec), acting(settings.policy, spec, model), settings.ticks or spec.ticks
    seeds, path, done = settings.seeds(number), folder / "store", 0
    for turn, noise in enumerate(settings.noises):
        part = seeds[turn :: len(settings.noises)]

        def counted(count: int, _: int, first: int = done) -> None:
            tell(f"record {number}", first + count, len(seeds))

        collect(path, spec, policy, part, ticks, noise, settings.workers, counted, expert)
        done += len(part)
    if not settings.moments:
        return EpisodeStore(path)
    ways = (*WAYS, *(Way(name, policy=acting(name, spec, model)) for name in settings.ways))

    def told(count: int, of: int) -> None:
        tell(f"branch {number}", count, of)

    ahead, moments, workers = settings.ahead, settings.moments, settings.workers
    return counterfactuals(path, spec, seeds, ways, moments, ahead, expert, workers, told)


def _every(store: EpisodeStore, spec: SceneSpec, end: int, data: str | Path | None) -> Iterator[xr.Dataset]:
    """All that is trained on: what came with the model, and all recordings of seeds below an end."""
    if data is not None:
        base = _store(data)
        yield from (base[i] for i in _of_line(base, spec))
    told = store.attrs()
    yield from (store[i] for i in _of_line(store, spec) if told[i]["seed"] < end)


def _scored(model: Path, spec: SceneSpec, settings: Round, tell: Tell, number: int) -> xr.Dataset:
    """The scores of a round's model on validation seeds, or those that were got."""
    kept = model / "scores.json"
    if kept.is_file():
        return xr.Dataset.from_dict(_read(kept))
    seeds = range(_VALIDATION[0], _VALIDATION[0] + settings.validation)
    with Cell(spec, without=list(spec.sensors)) as cell:
        policy = acting(settings.policy, spec, model)
        found = score(
            cell, policy, seeds, settings.ticks, settings.workers, lambda n, of: tell(f"score {number}", n, of)
        )
    _write(kept, found.to_dict())
    return found


def _table(scores: list[xr.Dataset], told: list[Mapping[str, float]]) -> xr.Dataset:
    """Scores and recordings over `round`."""
    out = summary({str(number): one for number, one in enumerate(scores)}).rename(policy="round")
    out = out.assign_coords(round=np.arange(len(scores)))
    gains = [interval(one["correct"].values - scores[0]["correct"].values) for one in scores]
    out["gained"] = (("round", "statistic"), np.array(gains), {"units": "1"})
    rows = [{"foreseen": np.nan, "came": np.nan, "episodes": 0, "ticks": 0}, *told]
    for name, units in (("foreseen", "1/s"), ("came", "1/s"), ("episodes", "1"), ("ticks", "1")):
        out[name] = ("round", np.array([row[name] for row in rows]), {"units": units})
    return out


def _copy(model: Path, folder: Path) -> None:
    """Copy a model's files, each whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        if (model / name).is_file():
            with whole(folder / name) as draft:
                shutil.copyfile(model / name, draft)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        draft.write_text(json.dumps(value), encoding="utf-8")
