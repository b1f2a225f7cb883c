"""What an experiment's file of the tests names: a network, data and a loop of one's own."""

import torch
from torch import nn

import coflect_widget as coflect


def rows(n=96):
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(n, 4, generator=draw)
    y = (x[:, 0] + x[:, 1] > 0).long()
    half = n // 2
    return (x[:half].numpy(), y[:half].numpy()), (x[half:].numpy(), y[half:].numpy())


@coflect.register("architecture", "thin")
class Thin(nn.Sequential):
    def __init__(self, input_shape, outputs, width=8):
        super().__init__(nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, outputs))


@coflect.register("loop", "plain")
def plain(session, made, factor=1.0):
    x, y = (torch.as_tensor(part) for part in made.train_data)
    optimizer = torch.optim.SGD(made.model.parameters(), made.settings.lr * factor)
    batches = [(torch.arange(k, k + 16), x[k : k + 16], y[k : k + 16]) for k in (0, 16, 32)]
    for indices, a, b in session.loop(batches, epochs=made.settings.epochs):
        logits = made.model(a)
        loss = nn.functional.cross_entropy(logits, b)
        session.observe(indices, logits, b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@coflect.register("loop", "heard")
def heard(session, made):
    """Begins an epoch when all that follows the run has heard of the one before."""
    x, y = (torch.as_tensor(part) for part in made.train_data)
    optimizer = torch.optim.SGD(made.model.parameters(), made.settings.lr)
    for indices, a, b in session.loop([(torch.arange(len(x)), x, y)], epochs=made.settings.epochs):
        session.events("state")
        logits = made.model(a)
        session.observe(indices, logits, b)
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, b).backward()
        optimizer.step()


@coflect.register("loop", "breaks")
def breaks(session, made):
    raise RuntimeError("it breaks")
