"""How a model is trained."""

from dataclasses import dataclass, replace
from typing import Literal, get_args, get_type_hints

from twinlab.errors import ModelError, did_you_mean
from twinlab.model import Size
from twinlab.model.imitation import Cloning
from twinlab.model.objective import Weights


@dataclass(frozen=True)
class Stage:
    """Steps of gradient descent on one kind of windows.

    Attributes:
        steps: how many [1].
        batch: windows that a process takes at a time; a step takes so many times processes times `accumulate` [1].
        window: ticks over which beliefs are followed [1].
        horizon: ticks foreseen after them [1].
        starts: ticks of each window from which the future is foreseen, at most `window` [1].
        rate: highest learning rate of AdamW; it rises over the first 5 % of the steps and falls as a cosine [1].
        fresh: chance of a window to begin with nothing known; the others go on where one ended, see `Walk` [1].
    """

    steps: int
    batch: int
    window: int
    horizon: int
    starts: int
    rate: float
    fresh: float = 1.0

    def __post_init__(self) -> None:
        sizes = {
            "steps": self.steps,
            "batch": self.batch,
            "window": self.window,
            "starts": self.starts,
            "rate": self.rate,
        }
        for name, value in sizes.items():
            if not value > 0:
                raise ModelError(f"a training stage's {name} came as {value}; wanted more than 0")
        if self.horizon < 0 or self.starts > self.window:
            raise ModelError(
                f"a training stage's horizon came as {self.horizon} and its starts as {self.starts}; wanted 0 or more "
                f"ticks ahead, from at most the {self.window} ticks of its window"
            )
        if not 0 <= self.fresh <= 1:
            raise ModelError(f"a training stage's fresh came as {self.fresh}; wanted a chance, from 0 to 1")


@dataclass(frozen=True)
class Fit:
    """How a model is trained: to see, then to follow and foresee, then to act.

    Attributes:
        seeing: single ticks, from which the cameras' views and all else that perceives is learnt. Ticks from anywhere
            differ more than those of a window do: the mean error of a target's place is half of what windows of 8
            ticks led to in three times as long.
        following: windows of many ticks; what the views find in the pictures is fixed from then on, so that looking
            costs nothing any more. A second ahead from two of its ticks led further than half a second from four: that
            went astray beyond what it was trained on, see `docs/design.md`.
        cloning: how the actor is trained at last.
        decay: weight decay [1].
        clip: longest gradient [1].
        drop: share of windows in which readings are taken away, each with one half [1].
        blind: share of windows in which pictures are, in the same way [1]. More of it makes the model sturdier and
            blurs what it sees: with 0.15 of them a target's place was 34 instead of 24 mm off in the mean after 750
            steps of 64 ticks, while missing vectors cost it nothing.
        shift: pixels by which each view's pictures are moved at random in seeing, at most; 0 moves none. So views do
            not learn by heart what each configuration looked like (random shifts: Kostrikov et al. 2021, Laskin et al.
            2020). Where a pixel is in space goes with it, so that places stay exact.
        gamma: discount of the return, per tick [1].
        seed: of first weights and all draws; the same seed gives the same model on the same machine.
        seconds: training before cloning ends after this time at the latest, half of it for seeing [s]; not repeatable.
            None for no limit.
        precision: of the numbers, as Lightning Fabric calls it.
        every: steps from one line of the log to the next [1].
        size: of the model.
        weights: of the loss's terms.
        accumulate: batches of a process whose gradients make one step [1]. Means are those of each batch, so that it
            is not quite the same as one batch so many times as large, see `docs/scaling.md`.
        accelerator: where to train; "auto" takes a GPU if there is one.
        strategy: how processes that torchrun started train together: "ddp" keeps a copy of the model in each, "fsdp2"
            a share of gradients and of the optimizer's state; "auto" is "ddp". Alone there is nothing to choose.
        keep: steps from one state that a killed run resumes from to the next; 0 keeps none [1].
        memory: of a process for episodes; what is beyond is laid in files. It changes no result [byte].
        scratch: folder for these files, best on a disk of the machine; "" is the run's own folder, or the system's
            for temporary files.
    """

    seeing: Stage = Stage(steps=750, batch=64, window=1, horizon=0, starts=1, rate=4e-3)
    following: Stage = Stage(steps=450, batch=32, window=24, horizon=20, starts=2, rate=2e-3, fresh=0.125)
    cloning: Cloning = Cloning()
    decay: float = 1e-4
    clip: float = 100.0
    drop: float = 0.15
    blind: float = 0.1
    shift: int = 0
    gamma: float = 0.97
    seed: int = 0
    seconds: float | None = None
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    every: int = 50
    size: Size = Size()
    weights: Weights = Weights()
    accumulate: int = 1
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    strategy: Literal["auto", "ddp", "fsdp2"] = "auto"
    keep: int = 100
    memory: int = 4 << 30
    scratch: str = ""

    def __post_init__(self) -> None:
        for name, low in (("accumulate", 1), ("every", 1), ("keep", 0), ("memory", 0), ("shift", 0)):
            if getattr(self, name) < low:
                raise ModelError(f"a fit's {name} came as {getattr(self, name)}; wanted {low} or more")
        for name in ("accelerator", "strategy", "precision"):
            known, came = get_args(get_type_hints(Fit)[name]), getattr(self, name)
            if came not in known:
                near = did_you_mean(str(came), known)
                raise ModelError(f"a fit's {name} came as {came!r}; there are {list(known)}.{near}")

    def of(self, steps: int | None) -> "Fit":
        """The same with so many steps of seeing and of following; None changes nothing."""
        if steps is None:
            return self
        return replace(self, seeing=replace(self.seeing, steps=steps), following=replace(self.following, steps=steps))
