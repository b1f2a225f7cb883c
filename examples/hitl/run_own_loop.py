"""A training loop of your own under a session, from a script.

    python run_own_loop.py [--epochs 4]

The notebook 04_your_own_loop.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import coflect_widget as coflect
from coflect_widget.projects.demo_model import small_resnet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    train = coflect.data.decoy_digits("train")
    test = coflect.data.decoy_digits("test", square="none")
    pairs = TensorDataset(torch.from_numpy(train.images), torch.from_numpy(train.labels))

    torch.manual_seed(0)
    model = small_resnet(num_classes=10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loader = DataLoader(pairs, batch_size=64, shuffle=True)
    with coflect.Session(
        model, pairs, test, optimizer=optimizer, run_dir=options.run_dir
    ) as session:
        for sample in (0, 100, 200, 300, 400):
            session.feedback(sample=sample, ignore=tuple(train.squares[sample]))
        for x, y in session.loop(loader, epochs=options.epochs):
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            session.observe(None, logits, y, loss)
            optimizer.zero_grad()
            (loss + session.guidance_loss(x, y, loss)).backward()
            optimizer.step()
        print("state:", session.state, "after", session.metrics["step"], "steps")
        print("test accuracy:", round(session.metrics["val_accuracy"], 3))
        print("will fail next:", [candidate.index for candidate in session.candidates])


if __name__ == "__main__":
    main()
