"""Whether a run that is killed loses anything, and what checkpoints cost.

    python benchmarks/resume/kills.py [--parts kills keras ledger cost peers]

``--parts kills`` kills a training with SIGKILL at ten random moments
(in a batch, in a validation, while a checkpoint is written), resumes it each time, and compares its
end with that of a training that was left alone. ``--parts keras`` does the same with Keras,
``--parts ledger`` kills a hundred processes in which somebody draws strokes and counts what was
acknowledged and is gone, ``--parts cost`` weighs a checkpoint every ten seconds, ``--parts peers``
kills trainings of other libraries too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

EPOCHS, ROWS, BATCH = 6, 640, 32
#: (step, what is said there)
SAID = ((15, "ignore"), (42, "judge"), (55, "look"), (70, "undo"))
HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2]))


# --- a training that is killed and goes on ------------------------------------------------------


def torch_parts():
    """Model, data, validation and settings: whatever a step may depend on is in it."""
    import torch
    from torch import nn

    import coflect_widget as coflect

    class Augmented(torch.utils.data.Dataset):
        def __init__(self, rows, *, tell=False):
            self.given, self.tell = coflect.data.synthetic(n=rows), tell

        def __len__(self):
            return len(self.given)

        def __getitem__(self, index):
            if self.tell and index == 1:
                print("validating", flush=True)
            x, y, *_ = self.given[index]
            noise = 0.05 * torch.randn(3, 1, 1) + 0.02 * np.random.rand()  # noqa: NPY002
            return torch.as_tensor(x) + (0 if self.tell else noise), y

    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.1),
        nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 4),
    )  # fmt: skip
    return model, Augmented(ROWS), Augmented(256, tell=True), {
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9, weight_decay=1e-4),
        "scheduler": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=EPOCHS),
    }  # fmt: skip


def keras_parts():
    """The same with Keras."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    import coflect_widget as coflect

    class Augmented:
        def __init__(self, rows, *, tell=False):
            self.given, self.tell = coflect.data.synthetic(n=rows), tell

        def __len__(self):
            return len(self.given)

        def __getitem__(self, index):
            if self.tell and index == 1:
                print("validating", flush=True)
            x, y, *_ = self.given[index]
            x = np.moveaxis(np.asarray(x, np.float32), 0, -1)
            return x if self.tell else x + np.float32(0.05 * np.random.randn()), int(y)  # noqa: NPY002

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)), keras.layers.Conv2D(16, 3, padding="same"),
            keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dropout(0.1),
            keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.3), keras.layers.Dense(4),
        ]
    )  # fmt: skip
    model.compile(
        keras.optimizers.SGD(0.03, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model, Augmented(ROWS), Augmented(256, tell=True), {
        "scheduler": lambda epoch, rate: rate * 0.8
    }  # fmt: skip


def weights_of(session):
    """All weights by name."""
    state = session._backend.state({})
    return {name: np.array(value) for name, value in state.weights.items()}


def child(kind, folder):
    """Train, or go on, in `folder`; at the end write what came of it."""
    import threading

    import coflect_widget as coflect

    model, data, val, more = {"torch": torch_parts, "keras": keras_parts}[kind]()
    config = {"checkpoint_minutes": 0.0015, "forecast": {"probes": 0, "horizon_epochs": 1}}
    found = sorted(folder.glob("run_*"))
    if found:
        session = coflect.open_run(found[0]).resume(model, data, val, config=config, **more)
    else:
        session = coflect.Session(
            model, data, val, run_dir=folder, batch_size=BATCH, config=config, **more
        )
    said = {event.step for event in session.run.iter_events("intervention")}
    said |= {event.step for event in session.run.iter_events("judged")}
    said |= {event.step for event in session.run.iter_events("undo")}

    def tell():
        told = -1
        while True:
            step = session.metrics["step"]
            if step != told:
                told = step
                print(f"step {step}", flush=True)
            time.sleep(0.002)

    threading.Thread(target=tell, daemon=True).start()
    loop = session._parts.loop
    for step, what in SAID:
        if session.metrics["step"] < step:
            session.train(steps=step - session.metrics["step"])
            session.wait()
        if step in said:
            continue
        if what == "ignore":
            session.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4), strength=0.5)
        elif what == "look":
            session.feedback(sample=8, look=(0.2, 0.2, 0.8, 0.8))
        elif what == "judge":
            session.judge(5, "wrong", 2)
        else:
            session.undo("i2")
    if session.metrics["epoch"] < EPOCHS:
        session.train(epochs=EPOCHS - loop.epoch)
        session.wait()
    session._parts.forecaster.drain(60)
    scores = session._parts.scoring.scores
    np.savez(folder / "weights.npz", **weights_of(session))
    outcome = {
        "step": session.metrics["step"],
        "queue": [(one.index, round(one.risk, 6)) for one in session.candidates],
        "scores": [(s.epoch_named, s.named, s.hits, s.chance) for s in scores],
        "ledger": [(one.id, one.step, one.undone, one.understood) for one in session.interventions],
        "suspects": [(one.index, one.judged) for one in session.suspects],
    }
    (folder / "outcome.json").write_text(json.dumps(outcome))
    session.close()
    print("ended", flush=True)


def start(*words):
    """A child, another process of this script."""
    return subprocess.Popen(
        [sys.executable, str(HERE), *map(str, words)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def part_is_there(folder):
    return any(folder.glob("run_*/checkpoints/.step_*.part"))


def kill_at(process, folder, moment, rng):
    """Kill it at that moment; False if it ended before."""
    steps = 0
    wanted, validations = rng.randint(3, 40), rng.randint(1, 2)
    for line in process.stdout:
        if line.startswith("ended"):
            process.wait()
            return False
        steps += line.startswith("step")
        if steps < 3:
            continue
        if moment == "validation" and line.startswith("validating"):
            validations -= 1
            if not validations:
                break
        if moment == "batch" and steps >= wanted:
            time.sleep(rng.random() * 0.02)
            break
        if moment == "writing" and steps >= 3:
            until = time.monotonic() + 20
            while not part_is_there(folder) and process.poll() is None:
                if time.monotonic() > until:
                    break
            break
    process.kill()
    process.wait()
    return True


def kills(kind, count, folder=None, seed=0):
    """Kill one training `count` times; how its end differs from that of one left alone."""
    from coflect_widget.records.checkpoint_files import find_checkpoints

    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(folder or temporary)
        alone, killed = root / "alone", root / "killed"
        for one in (alone, killed):
            one.mkdir(parents=True)
        process = start("child", kind, alone)
        process.communicate()
        done, moments = [], ["batch", "validation", "writing"]
        for number in range(count):
            moment = moments[number] if number < 3 else rng.choice(moments)
            process = start("child", kind, killed)
            if not kill_at(process, killed, moment, rng):
                break
            [run] = killed.glob("run_*")
            last = find_checkpoints(run).last
            done.append((moment, part_is_there(killed), last and last.step))
        else:
            start("child", kind, killed).communicate()
        one, other = (dict(np.load(path / "weights.npz")) for path in (alone, killed))
        most = max(float(np.abs(one[name] - other[name]).max()) for name in one)
        equal = all(np.array_equal(one[name], other[name]) for name in one)
        ends = [json.loads((path / "outcome.json").read_text()) for path in (alone, killed)]
        differs = [name for name in ends[0] if ends[0][name] != ends[1][name]]
    return done, equal, most, differs


def print_kills(kind, count, seed):
    done, equal, most, differs = kills(kind, count, seed=seed)
    print(f"{kind}: killed {len(done)} times, {EPOCHS * ROWS // BATCH} steps in all")
    for moment, half, step in done:
        print(f"  in a {moment}{', half a checkpoint left' if half else ''}; last one: step {step}")
    print(f"  final weights equal bit for bit: {equal}; largest difference {most:g}")
    print(f"  of queue, scores, ledger and suspects differ: {differs or 'none'}")
    return equal or (kind == "keras" and most <= 1e-6)


# --- a hundred kills, and what was acknowledged -------------------------------------------------


def strokes_until_killed(folder, pipe):
    """Draw strokes for ever; each is told once feedback() has come back."""
    import torch

    import coflect_widget as coflect

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(4, 4),
    )  # fmt: skip
    data = coflect.data.synthetic(n=96)
    found = sorted(folder.glob("run_*"))
    more = {
        "config": {
            "checkpoint_minutes": 0.003, "guidance": {"effect_after": 0},
            "attribution": {"budget": 0}, "forecast": {"probes": 0},
        },
        "executor": ProcessPoolExecutor(1),  # starts none before somebody wants a map
    }  # fmt: skip
    if found:
        session = coflect.open_run(found[0]).resume(model, data, **more)
    else:
        session = coflect.Session(model, data, run_dir=folder, batch_size=16, **more)
    known = " ".join(one.id for one in session.interventions)
    os.write(pipe, f"known {known}\n".encode())
    session.train(steps=10**6)
    rng = random.Random(os.getpid())
    while True:
        x, y = rng.random() * 0.7, rng.random() * 0.7
        entry = session.feedback(sample=rng.randrange(96), ignore=(x, y, x + 0.2, y + 0.2))
        os.write(pipe, f"said {entry.id}\n".encode())
        time.sleep(rng.random() * 0.1)
        if rng.random() < 0.3:
            session.undo(entry)
            os.write(pipe, f"undone {entry.id}\n".encode())


def ledger_kills(count, seed=0):
    """Processes are forked from this one, which has imported all; (acknowledged, lost)."""
    import signal

    import torch  # noqa: F401 - once, and not in each of them

    import coflect_widget as coflect
    from coflect_widget.backends.torch import backend, guidance  # noqa: F401

    rng = random.Random(seed)
    said, undone = set(), set()
    lost = []

    def keep(line):
        words = line.split()
        if len(words) == 2:
            (said if words[0] == "said" else undone).add(words[1])

    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            reads, writes = os.pipe()
            process = os.fork()
            if process == 0:
                os.close(reads)
                try:
                    strokes_until_killed(Path(folder), writes)
                except BaseException:  # noqa: BLE001 - said, and then the process ends
                    traceback.print_exc()
                finally:
                    os._exit(1)
            os.close(writes)
            with os.fdopen(reads, "r") as pipe:
                first = pipe.readline().split()
                assert first, "the process ended by itself"
                lost += sorted(said - set(first[1:]))
                # Some are killed before anything was said, some after much.
                for line in islice(pipe, rng.randrange(12) if number else 4):
                    keep(line)
                time.sleep(rng.random() * 0.1)
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                for line in pipe:
                    keep(line)
        [run] = Path(folder).glob("run_*")
        ledger = coflect.open_run(run).ledger
        by_name = {one.id: one for one in ledger.interventions}
        lost += sorted(said - by_name.keys())
        lost += [name for name in sorted(undone) if not by_name[name].undone]
    return len(said) + len(undone), lost


# --- other libraries ----------------------------------------------------------------------------


def peers(at, only=""):
    """Kill each at a step, start it again; where it goes on, and whether it ends the same."""
    from benchmarks.resume.peers import PEERS, STEPS

    print(f"killed (SIGKILL) at step {at} of {STEPS}, 20 an epoch, and started again:")
    print("| | goes on at step | steps lost | final weights as without the kill |")
    print("|---|---|---|---|")
    for name in (name for name in PEERS if only in name):
        with tempfile.TemporaryDirectory() as folder:
            alone, killed = Path(folder) / "alone", Path(folder) / "killed"
            for one in (alone, killed):
                one.mkdir()
            start("peer", name, alone).communicate()
            process = start("peer", name, killed)
            reached = 0
            for line in process.stdout:
                if line.startswith("step "):
                    reached = int(line.split()[1])
                    if reached >= at:
                        break
            process.kill()
            process.wait()
            said, _ = start("peer", name, killed).communicate()
            begun = next(
                (int(line.split()[1]) for line in said.split("\n") if line.startswith("begins ")), 0
            )
            same = (alone / "digest").read_text() == (killed / "digest").read_text()
            print(f"| {name} | {begun} | {reached - begun} | {'equal' if same else 'differ'} |")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "peer":
        from benchmarks.resume import peers as resume_peers

        resume_peers.child(sys.argv[2], Path(sys.argv[3]))
        return
    if len(sys.argv) == 4 and sys.argv[1] == "child":
        child(sys.argv[2], Path(sys.argv[3]))
        return
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--parts", nargs="+", default=["kills", "keras", "ledger", "cost"])
    words.add_argument("--count", type=int, default=None, help="kills, or pairs")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--only", default="", help="a part of a library's name")
    given = words.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} shared processors")
    for part in given.parts:
        if part in ("kills", "keras"):
            print_kills("torch" if part == "kills" else "keras", given.count or 10, given.seed)
        elif part == "ledger":
            acknowledged, lost = ledger_kills(given.count or 100, given.seed)
            print(f"{given.count or 100} kills, {acknowledged} acknowledged, {len(lost)} lost")
        elif part == "peers":
            peers(given.count or 730, given.only)
        elif part == "cost":
            from benchmarks.resume.cost import cost

            cost(given.count or 8)


if __name__ == "__main__":
    main()
