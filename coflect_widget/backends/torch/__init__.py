"""PyTorch: data, step, layers, gradients, and terms of the loss."""
