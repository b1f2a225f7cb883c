"""A training of several processes that the tests start with torchrun.

Given are the folder of runs and of what each rank says at the end, and how it trains: in the
session's loop ("session"), in a loop of the script's own, or with a library. "nan" and a number of
steps make a loss of rank 1 NaN there, "session" and a number have it fail. With "short" collectives
of the script may take 20 s, and labels are drawn at random, so that some samples are always wrong.
"spread" has a part of the weights in each process, and "losses" tells the losses alone.
"""

import hashlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import coflect_widget as coflect
from tests.conftest import tiny_cnn

folder, how = Path(sys.argv[1]), sys.argv[2]
fails_at = int(sys.argv[3]) if len(sys.argv) > 3 else -1
torch.set_num_threads(1)
quiet = {"xai_every": 10**6, "log_every": 1, "guidance": {"effect_after": 0}}
shapes = coflect.data.synthetic(n=256)
x, y = torch.from_numpy(shapes.images), torch.from_numpy(shapes.labels)
if how == "short":
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
MOST = 10**5  # epochs


def whole(tensor):
    """All of it, where each process has a part."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def sha(tensors):
    values = [whole(tensor.detach()).numpy().tobytes() for tensor in tensors]
    return hashlib.sha256(b"".join(values)).hexdigest()


class Watched(TensorDataset):
    """Fails where it is asked to."""

    def __getitem__(self, index):
        inputs, target = super().__getitem__(index)
        if [(one.rank, one.metrics["step"]) for one in begun] == [(1, fails_at)]:
            if how != "nan":
                raise OSError("the disk of rank 1 is gone")
            inputs = inputs * float("nan")
        return inputs, int(target)


def meet():
    """As a script does that wraps the model itself."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=20) if how == "short" else None)
    return DistributedDataParallel(tiny_cnn(seed=dist.get_rank()))  # rank 0's weights count


def shard():
    """Weights and what the optimizer keeps of them are spread over the processes (FSDP2)."""
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = tiny_cnn()
    fully_shard(model, mesh=dist.init_device_mesh("cpu", (dist.get_world_size(),)))
    return model


def with_losses(session, model):
    loader = DataLoader(data, 16, sampler=DistributedSampler(data, seed=3))
    for inputs, targets in session.loop(loader, epochs=MOST):
        losses = F.cross_entropy(model(inputs), targets, reduction="none")
        session.observe(None, loss=losses)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()


def in_session(session, model):
    session.train(epochs=MOST)
    session.wait()


def in_own_loop(session, model):
    loader = DataLoader(data, 16, sampler=DistributedSampler(data, seed=3))
    for inputs, targets in session.loop(loader, epochs=MOST):
        step(session, model, inputs, targets)


def step(session, model, inputs, targets, backward=torch.Tensor.backward):
    logits = model(inputs)
    loss = F.cross_entropy(logits, targets)
    session.observe(None, logits, targets)
    optimizer.zero_grad()
    backward(loss + session.guidance_loss(inputs, targets, loss))
    optimizer.step()


def with_accelerate(session, model):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    given, loader = accelerator.prepare(model, DataLoader(data, 16, shuffle=True))
    for inputs, targets in session.loop(loader, epochs=MOST):
        step(session, given, inputs, targets, accelerator.backward)


def with_lightning(session, model):
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, number):
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return optimizer

    lightning.Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, callbacks=[session.lightning_callback()], max_epochs=MOST,
        devices=2, strategy="ddp",
    ).fit(Lit(), DataLoader(data, 16, shuffle=True))  # fmt: skip


def with_transformers(session, model):
    from transformers import Trainer, TrainingArguments

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return len(x)

        def __getitem__(self, index):
            return {"pixel_values": x[index], "labels": y[index]}

    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"), per_device_train_batch_size=16, use_cpu=True,
        num_train_epochs=MOST, save_strategy="no", report_to=[], disable_tqdm=True,
        logging_strategy="no", ddp_backend="gloo",
    )  # fmt: skip
    Trainer(
        model, arguments, train_dataset=Rows(), optimizers=(optimizer, None),
        callbacks=[session.transformers_callback()],
    ).train()  # fmt: skip


class Named(torch.nn.Module):
    """A model as transformers has them."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_cnn()

    def forward(self, pixel_values, labels=None):
        from transformers.modeling_outputs import ImageClassifierOutput

        logits = self.inner(pixel_values)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


WAYS = {
    "own": (meet, in_own_loop),
    "spread": (shard, in_own_loop),
    "losses": (shard, with_losses),
    "accelerate": (tiny_cnn, with_accelerate),
    "lightning": (tiny_cnn, with_lightning),
    "transformers": (Named, with_transformers),
}
make, train = WAYS.get(how, (meet, in_session))
model = make()
data = (TensorDataset if fails_at < 0 else Watched)(x, y)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
begun, error = [], ""
given = {} if make is shard else {"val_data": coflect.data.synthetic(n=64, seed=1)}
with coflect.Session(
    model, data, **given, optimizer=optimizer, batch_size=16, run_dir=folder / "runs", config=quiet,
    task="own_loss" if how == "losses" else None,
) as session:  # fmt: skip
    begun.append(session)
    (folder / f"pid{session.rank}").write_text(str(os.getpid()))
    if session.rank == 0:
        session.serve()
    try:
        train(session, model)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
        raise
    finally:
        kinds = ("intervention", "undo", "judged", "state")
        momenta = [kept["momentum_buffer"] for kept in optimizer.state.values()]
        said = {
            "acts": [
                [event.type, event.step, event.data.get("id") or event.data.get("state")]
                for kind in kinds
                for event in session.events(kind)
            ],
            "weights": sha(model.parameters()),
            "momentum": sha(momenta),
            "finite": all(bool(whole(w).isfinite().all()) for w in model.parameters()),
            "step": session.metrics["step"],
            "lr": optimizer.param_groups[0]["lr"],
            "error": error,
            "seen": int(session._parts.forecaster.store.times_seen.sum()),
        }
        (folder / f"rank{session.rank}.json").write_text(json.dumps(said))
if dist.is_initialized():
    dist.destroy_process_group()
