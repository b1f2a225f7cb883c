"""Data without code: looked at, asked about where need be, and made into a session."""
