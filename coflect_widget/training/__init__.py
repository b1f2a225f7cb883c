"""The loop thread and what controls it."""
