"""Figures of tasks and of inputs beside one class of one input."""
