"""The skills room."""
