"""A training in a real other process: steered, left, found again, and closed to strangers."""

import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import jupyter_client
import numpy as np
import pytest
import zmq
from jupyter_client.session import Session as Signer

import coflect_widget as coflect
from coflect_widget.elsewhere import connection, link
from tests.conftest import eventually

HERE = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "train.py"
FEW, MANY = 400, 10_000
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}


@contextmanager
def script(runs, *command):
    """The script in a process of its own; gives the process and its run folder."""
    process = subprocess.Popen(
        [sys.executable, *(command or (str(SCRIPT), str(runs), "serve"))], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=HERE,
    )  # fmt: skip
    try:
        found = lambda: next(iter(runs.glob(f"*/{connection.NAME}")), None)  # noqa: E731
        alive = lambda: process.poll() is None or pytest.fail(process.stderr.read())  # noqa: E731
        yield process, eventually(lambda: alive() and found(), 120, "a served run").parent
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with script(tmp_path_factory.mktemp("runs")) as (process, run):
        yield process, run


def given(session, kind):
    return [event.data for event in session.events(kind)]


def test_a_training_is_steered_from_plain_python(served):
    _, run = served
    assert stat.S_IMODE((run / connection.NAME).stat().st_mode) == 0o600
    with coflect.connect(run, by="ada") as session:
        assert session.id == run.name
        session.pause()
        held = session.metrics["step"]
        assert session.state == "paused"
        session.step(2)
        assert session.metrics["step"] == held + 2
        stroke = session.feedback(sample=3, ignore=(0, 0, 0.3, 0.3))
        knob = session.set(lr=1e-4)
        assert session.undo(stroke).undone
        with coflect.connect(run, by="grace") as other:
            other.undo(knob)
            told = other.interventions
        assert [(one.id, one.undone) for one in told] == [(stroke.id, True), (knob.id, True)]
        drawn, turned = given(session, "intervention")
        assert drawn.strokes[0].roi["box"] == [0, 0, 0.3, 0.3]
        assert turned.knobs[0].name == "lr"
        assert (drawn.author, turned.author) == ("ada", "ada")
        assert [u.author for u in given(session, "undo")] == ["ada", "grace"]
        explained = session.explain(5)
        assert explained.index == 5
        assert explained.map.shape == (32, 32)
        with pytest.raises(ValueError, match="no intervention 'i99'"):
            session.undo("i99")
        with pytest.raises(IndexError):
            session.explain(10**6)
        session.resume()
        eventually(lambda: session.metrics["step"] > held + 2, what="further steps")


def test_what_a_session_gives_is_had_from_plain_python_too(served, tmp_path):
    _, run = served
    with coflect.connect(run) as session:
        stroke = session.feedback(sample=3, ignore=(0, 0, 0.3, 0.3))
        hits = session.similar(stroke)
        (found,) = [one for one in given(session, "hits") if one.done][-1:]
        assert [(hit.index, hit.box) for hit in hits[:3]] == list(
            zip(found.index[:3], found.box[:3], strict=True)
        )
        assert len(hits) == found.count
        session.undo(stroke)
        session.pause()
        explained = session.explain(7)
        kept = session.timeline(7)
        overlays = [one for one in given(session, "overlay") if one.index == 7]
        assert [one.model_step for one in kept] == sorted({one.model_step for one in overlays})
        assert (kept[-1].index, kept[-1].model_step) == (7, explained.model_step)
        assert np.abs(kept[-1].map - explained.map).max() < 1 / 200
        measured = [one for one in session.interventions if one.effect is not None]
        assert session.effects == [one.effect for one in measured]
        listed = given(session, "suspects")
        assert [one.index for one in session.suspects[:5]] == (
            listed[-1].index[:5] if listed else []
        )
        written = session.checkpoint("kept")
        assert written.is_relative_to(run)
        assert (written / "weights.safetensors").stat().st_size > 0
        with pytest.raises(ValueError, match="kept"):
            session.checkpoint("kept")
        page = session.save_html(tmp_path / "page.html").read_text()
        assert f"<title>Coflect {run.name}" in page
        session.sidebar()
        with pytest.raises(AttributeError, match=r'relabel is .* judge\(index, "wrong"'):
            session.relabel(3, 1)
        with pytest.raises(AttributeError, match=r"observe is .* in the process that trains"):
            session.observe()
        with pytest.raises(AttributeError, match="no attribute 'paus'"):
            session.paus()
        session.resume()


def test_what_is_asked_where_nothing_trains_is_as_in_its_own_process(make_session):
    session = make_session()
    with coflect.connect(coflect.serve(session)) as other:
        for ask in (other.pause, other.resume, other.stop):
            ask()
            assert other.state == "idle"
        with pytest.raises(RuntimeError, match="nothing is training"):
            other.step()
        with pytest.raises(ValueError, match="train"):
            other.train()
        for ask in (other.prove, other.keep):
            with pytest.raises(ValueError, match="there is no intervention 'i1'"):
                ask("i1")


@pytest.mark.slow
def test_a_proof_is_made_and_kept_from_plain_python(make_session):
    session = make_session(config={"guidance": {"effect_after": 4}, "author": "ada"})
    session.train(steps=4)
    assert session.wait(240)
    with coflect.connect(coflect.serve(session), by="bo") as other:
        told = other.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4), strength=0.5)
        proof = other.prove(told)
        assert proof == session.events("proof")[0].data
        kept = other.keep(proof, "untreated")
        assert kept == session.events("kept")[0].data
        assert (kept.author, kept.branch) == ("bo", "untreated")
        assert other.metrics["step"] == 8
        assert [one.undone for one in other.interventions] == [True]


def test_who_watches_from_elsewhere_counts_beside_a_dashboard_that_nobody_looks_at(make_session):
    session = make_session()
    coflect.serve(session)
    session.dashboard()
    assert not session._parts.holding.watched
    with coflect.connect(session.run.path) as other:
        other.dashboard()
        other._relay._take({"kind": "hello", "id": "page", "page": ""})
        eventually(lambda: session._parts.holding.watched, what="somebody who watches")


def test_the_messages_of_a_page_go_there_and_back(served):
    _, run = served
    sent = []
    with coflect.connect(run, by="ada") as session:
        widget = session.dashboard()
        widget.send = lambda content, buffers=None: sent.append((content, buffers))
        eventually(lambda: widget._snapshot, what="what a saved notebook shows")
        session._relay._take({"kind": "hello", "id": "page", "page": ""})
        full = eventually(lambda: next((c for c, _ in sent if c.get("full")), None), what="all")
        assert full["status"]["run_id"] == run.name
        session._relay._take({"kind": "pause", "id": "p1"})
        replies = lambda: [c for c, _ in sent if c["kind"] == "reply" and c["id"] == "p1"]  # noqa: E731
        assert eventually(replies, what="a reply")[0]["ok"]
        session._relay._take({"kind": "feedback", "id": "p2", "sample": "3"})
        refused = lambda: [c for c, _ in sent if c["kind"] == "reply" and c["id"] == "p2"]  # noqa: E731
        assert not eventually(refused, what="a refusal")[0]["ok"]
        session.resume()
    assert sent[-1][0]["kind"] == "lost"


def test_a_client_that_is_killed_is_not_noticed_and_another_one_connects(served):
    process, run = served
    code = f"import coflect_widget as c; s = c.connect({str(run)!r}); s.pause(); s.resume(); "
    client = subprocess.Popen(
        [sys.executable, "-c", code + "print('there', flush=True); s.wait()"],
        stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert client.stdout.readline().strip() == "there"
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stdout.close()
    with coflect.connect(run) as session:
        assert process.poll() is None
        step = session.metrics["step"]
        eventually(lambda: session.metrics["step"] > step, what="further steps")


def test_a_request_to_execute_runs_no_code(served, tmp_path):
    _, run = served
    client = jupyter_client.BlockingKernelClient()
    client.load_connection_file(str(run / connection.NAME))
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        code = f"open({str(tmp_path / 'ran')!r}, 'w')"
        answer = client.execute(code, reply=True, timeout=30)["content"]
        assert (answer["status"], answer["ename"]) == ("error", "Refused")
        client.shutdown()
        interrupt = client.session.msg("interrupt_request", {})
        client.control_channel.send(interrupt)
    finally:
        client.stop_channels()
    assert not (tmp_path / "ran").exists()
    with coflect.connect(run) as session:
        assert session.state == "training"


# --- strangers ------------------------------------------------------------------------------------


def dealer(context, info, *, curve=True, key=None):
    made = context.socket(zmq.DEALER)
    made.linger = 0
    made.sndtimeo = 0 if key or not curve else -1  # who is not let in has nobody to send to
    if curve:
        made.curve_publickey, made.curve_secretkey = zmq.curve_keypair()
        made.curve_serverkey = (key or info["curve_publickey"]).encode()
    made.connect(f"tcp://{info['ip']}:{info['shell_port']}")
    return made


def nonsense(rng, comms):
    """A message that is signed and means nothing, or nearly something."""
    values = [None, True, -1, 2**70, "i1", "x" * 5000, [], {}, [[0, 0]], {"box": [0, 0, 2, "a"]}]
    kinds = ["pause ", "feedback", "set_knobs", "undo", "judge", "leave_out", "explain", "", 7]
    commands = {
        "kind": rng.choice(kinds), "intervention": rng.choice(values), "index": rng.choice(values),
        "knobs": rng.choice(values), "verdict": rng.choice(values), "sample": rng.choice(values),
        "strokes": rng.choice(values),
    }  # fmt: skip
    fields = {k: v for k, v in commands.items() if rng.random() < 0.6}
    data = rng.choice(
        [
            rng.choice(values), fields, {"kind": "order", "id": "a", "command": fields},
            {"kind": "page", "content": {"id": "p", **fields}}, {"kind": "maps", "index": "1"},
            {"kind": "records", "id": "b", "type": 3}, {"kind": "read", "id": "c", "what": "path"},
            {"kind": "checkpoint", "id": "d", "name": "../out"}, {"kind": "timeline", "id": "e"},
            {"kind": "similar", "id": "g", "intervention": rng.choice(["", "i99", 3, "x" * 65])},
        ]
    )  # fmt: skip
    comm = rng.choice([*comms, "nobody", 5, "x" * 1000])
    kind = rng.choice(["comm_msg", "comm_msg", "comm_msg", "comm_open", "a_request", "what", ""])
    target = rng.choice(["coflect", "coflect", "jupyter.widget", None])
    return kind, {"comm_id": comm, "target_name": target, "data": data}


def fuzz(run, count):
    """Random messages with and without each key; what is recorded before and after."""
    rng = random.Random(5)
    info = json.loads((run / connection.NAME).read_text())
    context = zmq.Context()
    signer = Signer(key=info["key"].encode(), packer="json", unpacker="json")
    forger = Signer(key=b"another key", packer="json", unpacker="json")
    with coflect.connect(run) as session:
        session.pause()

        def changes():
            kinds = {"command", "intervention", "undo", "judged", "state"}
            return [event.seq for event in session.events() if event.type in kinds]

        before, step = changes(), session.metrics["step"]
        known = dealer(context, info)
        signer.send(
            known, "comm_open",
            {"comm_id": "f", "target_name": "coflect", "data": {"by": "f", "version": 1}},
        )  # fmt: skip
        for k in range(count):
            if k % 100 == 0:
                wrong, plain = (
                    dealer(context, info, key="x" * 40),
                    dealer(context, info, curve=False),
                )
            kind, content = nonsense(rng, ["f"])
            match k % 5:
                case 0 | 1:
                    signer.send(known, kind, content)
                case 2:
                    good = {"comm_id": "f", "data": {"kind": "order", "id": "z"}}
                    good["data"]["command"] = {"kind": "stop"}
                    made = rng.choice([known, wrong, plain])
                    with suppress(zmq.Again):
                        forger.send(made, "comm_msg", good)
                case 3:
                    frames = [rng.randbytes(rng.randrange(60)) for _ in range(rng.randrange(1, 8))]
                    known.send_multipart(frames)
                case 4 if k % 25 == 4:
                    port = info[rng.choice(["shell_port", "iopub_port", "control_port"])]
                    with socket.create_connection((info["ip"], port)) as raw:
                        raw.sendall(rng.randbytes(200))
            if k % 200 == 199:
                session.state  # noqa: B018 - what was sent is taken before more is
        # what is asked last is answered after all that was sent
        eventually(lambda: session.state == "paused")
        assert (changes(), session.metrics["step"]) == (before, step)
        session.resume()
    context.destroy(linger=0)


def test_strangers_and_nonsense_change_nothing(served):
    process, run = served
    fuzz(run, FEW)
    assert process.poll() is None


@pytest.mark.slow
def test_ten_thousand_messages_of_strangers_change_nothing(served):
    process, run = served
    fuzz(run, MANY)
    assert process.poll() is None


def test_nobody_reads_without_the_key(served):
    """A subscriber that has no key hears nothing, while one with the key does."""
    _, run = served
    info = json.loads((run / connection.NAME).read_text())
    context = zmq.Context()
    heard = {}
    try:
        for name, key in (("with", info["curve_publickey"]), ("wrong", "x" * 40), ("none", None)):
            made = heard[name] = context.socket(zmq.SUB)
            made.linger = 0
            if key is not None:
                made.curve_publickey, made.curve_secretkey = zmq.curve_keypair()
                made.curve_serverkey = key.encode()
            made.connect(f"tcp://{info['ip']}:{info['iopub_port']}")
            made.subscribe(b"")
        assert heard["with"].poll(30_000)
        with coflect.connect(run) as session:
            session.events("metrics")
        assert not heard["wrong"].poll(300)
        assert not heard["none"].poll(0)
    finally:
        context.destroy(linger=0)


# --- what cannot be connected to ------------------------------------------------------------------


def changed(run, folder, **fields):
    info = json.loads((run / connection.NAME).read_text())
    info["coflect"] |= {k: v for k, v in fields.items() if k in info["coflect"]}
    info |= {k: v for k, v in fields.items() if k in info}
    (folder / connection.NAME).write_text(json.dumps(info))
    return folder / connection.NAME


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_what_cannot_be_connected_to_says_why(served, tmp_path):
    _, run = served
    with pytest.raises(ConnectionError, match="does not take the key"):
        coflect.connect(changed(run, tmp_path, curve_publickey="x" * 40), timeout=1.5)
    with pytest.raises(ConnectionError, match="does not take the key"):
        coflect.connect(changed(run, tmp_path, key="0" * 64), timeout=1.5)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    port = free_port()
    with pytest.raises(ConnectionError, match=r"has ended; coflect\.open_run"):
        coflect.connect(changed(run, tmp_path, pid=gone.pid, shell_port=port), timeout=0.5)
    with pytest.raises(ConnectionError, match=rf"ssh -N -L {port}:127.0.0.1:{port} -L .* cluster"):
        coflect.connect(changed(run, tmp_path, host="cluster", shell_port=port), timeout=0.5)
    with pytest.raises(ConnectionError, match="another version"):
        coflect.connect(changed(run, tmp_path, version=99))
    (tmp_path / connection.NAME).write_text("[]")
    with pytest.raises(ConnectionError, match="no connection file"):
        coflect.connect(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"coflect run train\.py"):
        coflect.connect(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="by="):
        coflect.connect(run, by="")


@pytest.mark.slow
def test_coflect_run_serves_a_script_that_does_not_know_it_and_its_end_is_told(tmp_path):
    command = ("-m", "coflect_widget.cli", "run", str(SCRIPT), str(tmp_path), "plainly")
    with script(tmp_path, *command) as (process, run):
        session = coflect.connect(run)
        eventually(lambda: session.state == "training", what="a training")
        session.stop()
        said, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert said == "ended in order\n"
        assert f'coflect.connect("{run.resolve()}")' in errors
        eventually(lambda: session.lost, what="the news that it has ended")
        with pytest.raises(ConnectionError, match=r"has ended; coflect\.open_run"):
            session.pause()
        assert not (run / connection.NAME).exists()


def test_a_training_that_is_killed_is_told_too(served, monkeypatch):
    """The last test of the file: nothing trains afterwards."""
    monkeypatch.setattr(link, "BEAT", 0.1)
    process, run = served
    session = coflect.connect(run)
    process.kill()
    process.wait()
    eventually(lambda: session.lost, what="the news that it has ended")
    with pytest.raises(ConnectionError, match=rf"{process.pid} that trained .* has ended"):
        session.pause()
    with pytest.raises(ConnectionError, match=r"coflect\.open_run"):  # the file is left
        coflect.connect(run, timeout=0.5)
