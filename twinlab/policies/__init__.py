"""Policies: one way to act per file. The protocol stands in `episodes.Policy`."""
