"""Figures of tasks other than one class a sample."""
