"""What a model is worth on episodes it never saw: what it foresees and perceives, and whether its doubt is right.

`foresee` and `localise` are quick looks: vectors at one horizon, where things are. `predict`, `perceive`, `coverage`
and `surprised` are what docs/results.md keeps: every reading at several horizons against three baselines, each sensor
removed and under noise, intervals against the truth, faults found by surprise; all with 95 % intervals over episodes or
runs. The runs of the last come from `watched`, on a line that is `prone` to the faults of `trials`; `tune` sets its
thresholds by runs without faults.

Errors of `predict`. The root mean square of an episode's windows, mean over episodes, each counting by its windows,
over the root mean square error of always telling the training mean (`scale`): 1 is what a mean would cost. It is taken
of numbers of each kind (`unit`): vectors in training standard deviations ("std"), mean over those numbers that vary;
pulses and labels by the root of the Brier score; images as 0 to 1; depth in metres where anything was measured; normals
as distances of unit vectors; tactile maps in symlogs, as in their codec; clouds by the distance to the nearest point of
the other, mean of both ways [m]. Where a predictor tells nothing and something was measured, the mean counts. Ages and
what never varies in training are left out.

Its baselines. "nothing changes"; "constant velocity": as from the tick before to now, so on, within the range of the
kind; "linear": ridge regression from now and all actions to come to each horizon, vectors from vectors, all others from
everything, readings with many numbers by 16 principal components of training episodes.

Its windows. Eventful are those with contact or a change of command between now and then: an actuator's set-point spans
more than 30 % of its range; a pulse, truth or reading, whose name ends in `contact`, `held`, `touch`, `touched` or
`grasped` is not the same all the time; or a measured force differs by more than 5 N from that of now. All others are
quiet.
"""

from twinlab.evaluate._coverage import coverage as coverage
from twinlab.evaluate._foreseen import PREDICTORS as PREDICTORS
from twinlab.evaluate._foreseen import Linear as Linear
from twinlab.evaluate._foreseen import foresee as foresee
from twinlab.evaluate._localised import localise as localise
from twinlab.evaluate._perception import perceive as perceive
from twinlab.evaluate._prediction import predict as predict
from twinlab.evaluate._surprise import prone as prone
from twinlab.evaluate._surprise import readings_of as readings_of
from twinlab.evaluate._surprise import surprised as surprised
from twinlab.evaluate._surprise import trials as trials
from twinlab.evaluate._surprise import tune as tune
from twinlab.evaluate._surprise import watched as watched
from twinlab.evaluate._tables import grid as grid
from twinlab.evaluate._tables import markdown as markdown
from twinlab.evaluate._tables import table as table
