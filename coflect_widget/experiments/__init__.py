"""Trainings from a file: what is trained, by names and settings, and searches over them."""
