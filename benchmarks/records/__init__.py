"""What many runs cost to be read together."""
