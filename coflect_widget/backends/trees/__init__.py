"""Boosted trees: a step of training is a boosting round, whoever grows the trees."""
