"""What comes of what goes on: how long until the next item is decided, and whether rightly; told from events."""

import numpy as np
import xarray as xr

from twinlab.kpi import ENDS

LONGEST = 10.0  # what takes longer counts as this long [s]
KNOWN = "outcome_known"
OUTCOMES = ("time_left", "success", KNOWN)


def with_outcomes(episode: xr.Dataset) -> xr.Dataset:
    """The episode and three truths more; as it is where it holds no events.

    `time_left` [s]: from each tick to the next end of an item (`kpi.ENDS`), at most `LONGEST`; `success`: whether that
    end is right; `outcome_known`: whether the episode tells of one.
    """
    if not {"event_time", "event_kind", "event_right"} <= set(episode.variables) or KNOWN in episode:
        return episode
    ends = np.isin(episode["event_kind"].values.astype(str), ENDS)
    order = np.argsort(episode["event_time"].values[ends], kind="stable")
    when = episode["event_time"].values[ends][order]
    right = episode["event_right"].values[ends][order].astype(bool)
    now = episode["time"].values
    following = np.searchsorted(when, now, side="right")
    known = following < len(when)
    which = np.minimum(following, max(len(when) - 1, 0))
    left = np.where(known, when[which] - now, LONGEST) if len(when) else np.full(len(now), LONGEST)
    success = known & right[which] if len(when) else known
    about = {"role": "truth", "units": "1", "kind": "pulse"}
    vector = {"role": "truth", "units": "s", "kind": "vector", "given": KNOWN}
    return episode.assign(
        {
            KNOWN: ("time", known, about),
            "time_left": ("time", np.minimum(left, LONGEST).astype(np.float32), vector),
            "success": ("time", success, {**about, "given": KNOWN}),
        }
    )
