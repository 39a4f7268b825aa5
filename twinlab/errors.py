"""Every error raised on purpose: where, what came, what was wanted, what to do."""

import difflib
from collections.abc import Iterable


class TwinlabError(Exception):
    """The root of all errors that twinlab raises on purpose."""


class SceneError(TwinlabError, ValueError):
    """A scene file or a change to a scene is wrong."""


class UnknownVariantError(TwinlabError, LookupError):
    """A room holds no variant of that name."""


class MeshError(TwinlabError, ValueError):
    """A mesh or robot file is missing or cannot be read."""


class WorldError(TwinlabError, LookupError):
    """A name is unknown to the world, or the world is closed."""


class ReadingsError(TwinlabError, ValueError):
    """Readings do not keep their contract."""


class ActionError(TwinlabError, ValueError):
    """An action has the wrong shape, name or a value that is not finite."""


class CellError(TwinlabError, RuntimeError):
    """A cell is used in the wrong order: stepped before reset, or after close."""


class StoreError(TwinlabError, OSError):
    """A store or an episode on disk is missing, half written, damaged or of another version."""


class FormatError(TwinlabError, ValueError):
    """A file of an outside format is missing, cut short, damaged, foreign, or cannot hold what it is given."""


class WorkerError(TwinlabError, RuntimeError):
    """A process that did a job died each time, or a cluster cannot be used."""


class ExperimentError(TwinlabError, ValueError):
    """An experiment has a factor, a level or a metric that is unknown, ambiguous or does not fit."""


class TrackingError(TwinlabError, RuntimeError):
    """A run's folder is taken or cannot be read, or its mirror is not there."""


class ModelError(TwinlabError, ValueError):
    """A model, its checkpoint or its input does not fit."""


class RendererError(TwinlabError, RuntimeError):
    """No picture can be rendered on this machine."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or nothing.

    >>> did_you_mean("froce", ["depth", "force"])
    " Did you mean 'force'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
