"""The dashboard and everything between kernel and browser."""
