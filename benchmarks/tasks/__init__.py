"""Figures of the kinds of input that are no pictures."""
