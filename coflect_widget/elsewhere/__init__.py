"""A training that is steered from another process: served there, connected to here."""
