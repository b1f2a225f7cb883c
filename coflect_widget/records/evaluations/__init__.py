"""Models of runs measured on data, with intervals."""
