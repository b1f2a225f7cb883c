"""The same training with Lightning, Keras and Hugging Face's Trainer, each with its defaults.

`kills.py --parts peers` kills each of them and starts it again. A child trains, says
each step, and writes a digest of its final weights; where its folder has a checkpoint it goes on
from there.
"""

from __future__ import annotations

import hashlib
import os
import warnings

import numpy as np

ROWS, BATCH, EPOCHS = 640, 32, 40
STEPS = EPOCHS * ROWS // BATCH


def data():
    """Pictures (N, 3, 32, 32) and labels, for training and for validation."""
    import coflect_widget as coflect

    train, val = coflect.data.synthetic(n=ROWS), coflect.data.synthetic(n=128, seed=1)
    return (train.images, train.labels), (val.images, val.labels)


def torch_model():
    """Batch normalisation and dropout."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 4),
    )  # fmt: skip


def digest(arrays):
    """Of all weights in order of their names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()[:16]


def of_torch(model):
    return digest({name: value.numpy() for name, value in model.state_dict().items()})


def say(step):
    print(f"step {step}", flush=True)


def coflect_(folder, minutes=None):
    """Coflect-widget; `minutes` between two checkpoints, its default if None."""
    import threading
    import time

    import torch

    import coflect_widget as coflect

    train, val = data()
    more = {
        "optimizer": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9), "batch_size": BATCH,
    }  # fmt: skip
    model = torch_model()
    config = {} if minutes is None else {"checkpoint_minutes": minutes}
    found = sorted(folder.glob("run_*"))
    if found:
        session = coflect.open_run(found[0]).resume(model, train, val, config=config, **more)
        print(f"begins {session.metrics['step']}", flush=True)
        left = session._parts.loop.left or session._parts.loop.ends_epoch
        session.train() if left else session.train(epochs=EPOCHS)
    else:
        session = coflect.Session(model, train, val, run_dir=folder, config=config, **more)
        session.train(epochs=EPOCHS)

    def tell():
        while True:
            say(session.metrics["step"])
            time.sleep(0.002)

    threading.Thread(target=tell, daemon=True).start()
    session.wait()
    session.close()
    return of_torch(model)


def lightning_(folder):
    """Lightning: a checkpoint at each epoch's end, the newest stays."""
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    train, val = (TensorDataset(*map(torch.from_numpy, pair)) for pair in data())

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = torch_model()

        def training_step(self, batch, _):
            say(self.trainer.global_step)
            return torch.nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def validation_step(self, batch, _):
            self.log("val_loss", torch.nn.functional.cross_entropy(self.model(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.05, momentum=0.9)

        def on_train_start(self):
            print(f"begins {self.trainer.global_step}", flush=True)

    lightning.seed_everything(0, verbose=False)
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, default_root_dir=folder, logger=False, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    found = sorted(folder.rglob("*.ckpt"), key=lambda file: file.stat().st_mtime)
    module = Module()
    trainer.fit(
        module, DataLoader(train, BATCH, shuffle=True), DataLoader(val, 128),
        ckpt_path=found[-1] if found else None,
    )  # fmt: skip
    return of_torch(module.model)


def keras_(folder):
    """Keras: BackupAndRestore, at each epoch's end."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, strides=2, padding="same"),
            keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dropout(0.2),
            keras.layers.AveragePooling2D(4), keras.layers.Flatten(), keras.layers.Dense(4),
        ]
    )  # fmt: skip
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    (x, y), val = data()

    class Say(keras.callbacks.Callback):
        begun = False

        def on_train_batch_begin(self, batch, logs=None):
            step = int(self.model.optimizer.iterations)
            if not self.begun:
                self.begun = True
                print(f"begins {step}", flush=True)
            say(step)

    model.fit(
        np.moveaxis(x, 1, -1), y, batch_size=BATCH, epochs=EPOCHS, verbose=0,
        validation_data=(np.moveaxis(val[0], 1, -1), val[1]),
        callbacks=[keras.callbacks.BackupAndRestore(str(folder / "backup")), Say()],
    )  # fmt: skip
    return digest({str(k): w.numpy() for k, w in enumerate(model.weights)})


def transformers_(folder):
    """Hugging Face's Trainer: a checkpoint each 500 steps."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    train, _ = data()

    class Rows(torch.utils.data.Dataset):
        def __init__(self, pair):
            self.x, self.y = pair

        def __len__(self):
            return len(self.x)

        def __getitem__(self, index):
            return {"x": torch.from_numpy(self.x[index]), "labels": int(self.y[index])}

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch_model()

        def forward(self, x, labels=None):
            logits = self.inner(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Say(TrainerCallback):
        def on_train_begin(self, args, state, control, **more):
            print(f"begins {state.global_step}", flush=True)

        def on_step_begin(self, args, state, control, **more):
            say(state.global_step)

    model = Model()
    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=BATCH, num_train_epochs=EPOCHS, use_cpu=True,
        report_to=[], disable_tqdm=True, logging_strategy="no", learning_rate=1e-3,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Rows(train), callbacks=[Say()])
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    return of_torch(model.inner)


PEERS = {
    "coflect-widget": coflect_,
    "coflect-widget, checkpoint_minutes=0.05": lambda folder: coflect_(folder, 0.05),
    "Lightning": lightning_,
    "Keras BackupAndRestore": keras_,
    "Hugging Face Trainer": transformers_,
}


def child(name, folder):
    """Train to the end; the digest is written beside."""
    warnings.simplefilter("ignore")
    found = PEERS[name](folder)
    (folder / "digest").write_text(found)
    print("ended", flush=True)
