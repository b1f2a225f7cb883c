"""A model that was trained answers requests: a small HTTP service on this machine."""
