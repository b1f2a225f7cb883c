"""The run folder: writing it, reading it back."""
