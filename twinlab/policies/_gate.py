"""The gate before a plan: what was imagined is replayed in the twin first, and done only where the two agree."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from twinlab.plans import Plan, Verdict, check_plan, trusted
from twinlab.policies._twin import Twin


@dataclass
class Gate:
    """Lets plans through whose replay in a twin is near to what the model imagined; counts those that it did not.

    Attributes:
        limit: the largest gap of any name at any tick [training standard deviations].
        names: the readings and truths that are compared; None for all that the twin gives.
        asked: plans that came [1].
        refused: of these, those that were not let through [1].
        why: the reason of the last verdict.
    """

    limit: float = 1.0
    names: Collection[str] | None = None
    asked: int = 0
    refused: int = 0
    why: str = ""

    def chosen(self, twin: Twin, plan: Plan, instead: np.ndarray) -> np.ndarray:
        """What is to be done (tick, actuator): the plan's actions if they may be, else others.

        Args:
            twin: stands where the line stands, and does so afterwards.
            plan: what the model imagined from there.
            instead: what is done if the plan may not be, such as the proposal, or zeros to hold still (tick, actuator).

        Raises:
            ActionError, ModelError: as `plans.check_plan` and `plans.trusted`.
        """
        verdict = self.judged(twin, plan)
        return plan.actions if verdict.ok else instead

    def judged(self, twin: Twin, plan: Plan) -> Verdict:
        """Whether a plan may be executed and why, counted."""
        verdict = trusted(check_plan(twin.trial(), plan, self.names), self.limit)
        self.asked, self.refused, self.why = self.asked + 1, self.refused + (not verdict.ok), verdict.why
        return verdict
