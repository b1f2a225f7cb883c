"""Processes beside the kernel: how they start, what they share, how they end."""
