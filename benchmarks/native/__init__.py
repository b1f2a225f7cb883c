"""Compiled kernels beside numpy."""
