"""twinlab: a digital-twin research workbench for manufacturing lines."""

__version__ = "0.1.0"
