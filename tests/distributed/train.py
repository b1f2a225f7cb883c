"""A training of several processes that the tests start with torchrun.

Given are the folder of runs and of what each rank says at the end, and how it trains: with "own" in
a loop of the script's own, else in the session's; "nan" and a number of steps make a loss
of rank 1 NaN there, "session" and a number have it fail.
"""

import hashlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import coflect_widget as coflect
from tests.conftest import tiny_cnn

folder, how = Path(sys.argv[1]), sys.argv[2]
fails_at = int(sys.argv[3]) if len(sys.argv) > 3 else -1
torch.set_num_threads(1)
dist.init_process_group("gloo", timeout=timedelta(seconds=5) if how == "short" else None)
rank = dist.get_rank()
(folder / f"pid{rank}").write_text(str(os.getpid()))
shapes = coflect.data.synthetic(n=256)
x, y = torch.from_numpy(shapes.images), torch.from_numpy(shapes.labels)
model = DistributedDataParallel(tiny_cnn(seed=rank))  # rank 0's weights count
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
quiet = {"xai_every": 10**6, "log_every": 1, "guidance": {"effect_after": 0}}


def spoil(inputs):
    """What a data set of the one rank may do."""
    if rank == 1 and session is not None and fails_at == session.metrics["step"]:
        if how == "nan":
            inputs = inputs * float("nan")
        else:
            raise OSError("the disk of rank 1 is gone")
    return inputs


class Watched(TensorDataset):
    """Fails where it is asked to."""

    def __getitem__(self, index):
        inputs, target = super().__getitem__(index)
        return spoil(inputs), int(target)


def own_loop(session, data):
    loader = DataLoader(data, 16, sampler=DistributedSampler(data, seed=3))
    for inputs, targets in session.loop(loader, epochs=10**5):
        logits = model(inputs)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        session.observe(None, logits, targets)
        optimizer.zero_grad()
        (loss + session.guidance_loss(inputs, targets, loss)).backward()
        optimizer.step()


data = (TensorDataset if fails_at < 0 else Watched)(x, y)
session = None
validation = coflect.data.synthetic(n=64, seed=1)
with coflect.Session(
    model, data, validation, optimizer=optimizer, batch_size=16, run_dir=folder / "runs",
    config=quiet,
) as session:  # fmt: skip
    if session.rank == 0:
        session.serve()
    error = ""
    try:
        if how == "own":
            own_loop(session, data)
        else:
            session.train(epochs=10**5)
            session.wait()
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
        raise
    finally:
        weights = b"".join(w.detach().numpy().tobytes() for w in model.parameters())
        kinds = ("intervention", "undo", "judged", "state")
        acts = [
            [event.type, event.step, event.data.get("id") or event.data.get("state")]
            for kind in kinds
            for event in session.events(kind)
        ]
        said = {
            "acts": acts,
            "weights": hashlib.sha256(weights).hexdigest(),
            "finite": all(bool(w.isfinite().all()) for w in model.parameters()),
            "step": session.metrics["step"],
            "lr": optimizer.param_groups[0]["lr"],
            "momentum": hashlib.sha256(
                b"".join(s["momentum_buffer"].numpy().tobytes() for s in optimizer.state.values())
            ).hexdigest(),
            "error": error,
            "pid": os.getpid(),
        }
        (folder / f"rank{rank}.json").write_text(json.dumps(said))
dist.destroy_process_group()
