"""A model card: what an exported model was made from, in Markdown with a YAML head.

Hugging Face's hub shows it, and `huggingface_hub.ModelCard` reads it. What people and programs have
written is text in it, never markup.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from coflect_widget.records.run import DamagedFileError, Run
from coflect_widget.records.summary import read_summary

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~<>&])")
_LIBRARIES = {"onnx": "onnx", "torchscript": "pytorch", "keras": "keras"}
_LOADED = {
    "onnx": 'import onnxruntime\n\nmodel = onnxruntime.InferenceSession("{file}")\n'
    "outputs = model.run(None, {{model.get_inputs()[0].name: inputs}})",
    "torchscript": 'import torch\n\nmodel = torch.jit.load("{file}")\noutputs = model(inputs)',
    "keras": 'import keras\n\nmodel = keras.models.load_model("{file}", compile=False)\n'
    "outputs = model(inputs, training=False)",
    "safetensors": 'import safetensors.numpy\n\nweights = safetensors.numpy.load_file("{file}")',
}


def model_card(run: Run, facts: Mapping[str, Any]) -> str:
    """The card of an export.

    Parameters
    ----------
    run : Run
    facts : mapping
        As ``export.json`` has them.
    """
    sums = read_summary(run.path)
    head: dict[str, Any] = {"tags": ["coflect-widget"]}
    if facts["form"] in _LIBRARIES:
        head["library_name"] = _LIBRARIES[facts["form"]]
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {_text(run.id)}\n",
        _model(facts),
        f"## Loading it\n\n```python\n{_LOADED[facts['form']].format(file=facts['file'])}\n```\n",
        _data(run),
        _metrics(sums, facts),
        _told(run),
        _found(run),
    ]
    return "\n".join(part for part in parts if part)


def _model(facts: Mapping[str, Any]) -> str:
    lines = [
        ("File", f"{facts['file']} ({facts['form']})"),
        ("Checkpoint", f"{facts['checkpoint']}, step {facts['step']}, epoch {facts['epoch']}"),
        ("Exported", facts["made"]),
    ]
    if facts.get("difference") is not None:
        words = f"{facts['difference']:.2g} on {facts['rows']} inputs"
        lines.append(("Largest difference from the model", words))
    return "## Model\n\n" + _table(("", ""), lines)


def _data(run: Run) -> str:
    try:
        data = run.meta.get("data") or run.config.get("data") or {}
        seed, git = run.meta.get("seed"), (run.meta.get("git") or {}).get("commit")
    except (DamagedFileError, AttributeError):
        return ""
    lines = [
        ("Training samples", data.get("num_train")),
        ("Validation samples", data.get("num_val")),
        ("Fingerprint", data.get("fingerprint")),
        ("Seed", seed),
        ("Git commit", git),
    ]
    counts = data.get("class_counts")
    if isinstance(counts, dict):
        lines += [(f"Training samples of {name}", n) for name, n in counts.items()]
    return "## Data\n\n" + _table(("", ""), [line for line in lines if line[1] is not None])


def _metrics(sums: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    score = facts.get("score")
    lines: list[tuple[Any, ...]] = []
    if score is not None:
        lines.append((f"{score['metric']} on validation, at this checkpoint", score["value"]))
    lines += [(f"{name}, last of the run", value) for name, value in sums["last"].items()]
    lines += [(f"best {name} on validation", one["value"]) for name, one in sums["best"].items()]
    small = facts.get("quantised")
    if small is not None:
        for name, value in facts["metrics"].items():
            lines.append((f"{name}, of {facts['file']}", value))
            lines.append((f"{name}, of {small['file']}", small["metrics"].get(name)))
    return "## Metrics\n\n" + _table(("", ""), lines) if lines else ""


def _told(run: Run) -> str:
    """What people told the training, and what that did."""
    undone = {str(event.data.get("id")) for event in run.iter_events("undo")}
    effects = {
        str(event.data.get("intervention")): event.data.get("text")
        for event in run.iter_events("effect")
    }
    lines = []
    for event in run.iter_events("intervention"):
        name = str(event.data.get("id"))
        what = event.data.get("understood")
        done = effects.get(name, "")
        lines.append((event.step, f"{what} (undone)" if name in undone else what, done))
    head = "## Interventions\n\n"
    if not lines:
        return head + "Nobody intervened in the training.\n"
    return head + _table(("step", "told", "effect"), lines)


def _found(run: Run) -> str:
    newest = {str(event.data.get("id")): event.data for event in run.iter_events("finding")}
    answers = {
        str(event.data.get("finding")): event.data.get("answer")
        for event in run.iter_events("answer")
    }
    lines = [
        (data.get("text"), answers.get(name) or data.get("answer") or "not answered")
        for name, data in newest.items()
    ]
    return "## Findings\n\n" + _table(("finding", "answer"), lines) if lines else ""


def _table(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    rows = [heads, ["---"] * len(heads)]
    rows += [[_text(cell) for cell in line] for line in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _text(value: Any) -> str:
    """A value as text in one line that Markdown takes for nothing else."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else "not defined"
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))
