"""Figures of `coflect.quickstart`."""
