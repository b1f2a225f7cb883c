"""Keras: data, step, layers, gradients, and terms of the loss."""
