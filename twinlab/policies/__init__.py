"""The policies room."""
