"""Clusters of rows: a step of training is a mini-batch that moves the centres."""
