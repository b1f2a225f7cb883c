"""Guidance: what a person draws and types, and what it does to the loss."""
