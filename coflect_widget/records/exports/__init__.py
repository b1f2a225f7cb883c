"""Models of runs as files for other programs."""
