"""The sensors room."""
