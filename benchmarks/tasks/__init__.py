"""Figures of tasks beside the classification of one input."""
