"""Interventions, candidates and maps as JSON and buffers, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from coflect_widget.attribution.explanation import Explanation
from coflect_widget.events import Effect, InterventionRecord, Quality
from coflect_widget.forecast.candidate import Candidate
from coflect_widget.guidance.hits import Hit
from coflect_widget.guidance.ledger import Intervention

_ARRAYS = (
    "map", "livecam", "smoothgrad", "consensus", "picture", "truth", "said", "region",
)  # fmt: skip
_QUALITY = TypeAdapter(Quality)
_EXACTLY = ("float32", "uint8", "float64", "bool")


def intervention_out(entry: Intervention) -> dict[str, Any]:
    """An entry of the ledger as JSON."""
    return {
        "record": entry.record.model_dump(mode="json"), "step": entry.step, "undone": entry.undone,
        "when": entry.when, "lapsed": dict(entry.lapsed),
        "effect": None if entry.effect is None else entry.effect.model_dump(mode="json"),
    }  # fmt: skip


def intervention_in(value: dict[str, Any]) -> Intervention:
    """The entry that `intervention_out` wrote."""
    return Intervention(
        InterventionRecord.model_validate(value["record"]),
        int(value["step"]), bool(value["undone"]), str(value["when"]),
        None if value["effect"] is None else Effect.model_validate(value["effect"]),
        dict(value["lapsed"]),
    )  # fmt: skip


def candidate_in(value: dict[str, Any], buffers: list[bytes]) -> Candidate:
    """A candidate, with its picture from the buffers."""
    place = value["thumbnail"]
    return Candidate(**{**value, "thumbnail": None if place is None else buffers[place]})


def hit_out(hit: Hit) -> dict[str, Any]:
    """A place where an artefact was found again, as JSON."""
    return {
        "index": int(hit.index), "box": [float(one) for one in hit.box], "score": float(hit.score)
    }  # fmt: skip


def hit_in(value: dict[str, Any]) -> Hit:
    """The place that `hit_out` wrote."""
    return Hit(int(value["index"]), tuple(value["box"]), float(value["score"]))


def explanations_out(explanations: list[Explanation]) -> tuple[list[Any], list[bytes]]:
    """Several of them, the buffers of all in one row."""
    said: list[Any] = []
    buffers: list[bytes] = []
    for explanation in explanations:
        fields, own = explanation_out(explanation)
        said.append({"buffers": [len(buffers), len(buffers) + len(own)], "fields": fields})
        buffers += own
    return said, buffers


def explanations_in(said: list[Any], buffers: list[bytes]) -> list[Explanation]:
    """What `explanations_out` wrote."""
    return [explanation_in(one["fields"], buffers[slice(*one["buffers"])]) for one in said]


def explanation_out(explanation: Explanation) -> tuple[dict[str, Any], list[bytes]]:
    """Maps as buffers, all else as JSON."""
    said: dict[str, Any] = {}
    buffers: list[bytes] = []
    for name in Explanation.__slots__:
        value = getattr(explanation, name)
        if name in _ARRAYS and value is not None:
            said[name] = {
                "buffer": len(buffers), "dtype": str(value.dtype), "shape": list(value.shape)
            }  # fmt: skip
            buffers.append(value.tobytes())
        elif name == "quality":
            said[name] = None if value is None else _QUALITY.dump_python(value, mode="json")
        else:
            said[name] = _plain(value)
    return said, buffers


def explanation_in(said: dict[str, Any], buffers: list[bytes]) -> Explanation:
    """The maps that `explanation_out` wrote."""
    fields = dict(said)
    for name in _ARRAYS:
        if fields[name] is not None:
            fields[name] = _array(fields[name], buffers)
    for name in ("focus_bbox", "top_classes", "top_probs", "classes", "labels"):
        fields[name] = None if fields[name] is None else tuple(fields[name])
    if fields["quality"] is not None:
        fields["quality"] = _QUALITY.validate_python(fields["quality"])
    return Explanation(**fields)


def _array(said: dict[str, Any], buffers: list[bytes]) -> NDArray[Any]:
    if said["dtype"] not in _EXACTLY:
        raise ValueError(f"an array of {said['dtype']!r} was not expected")
    return np.frombuffer(buffers[said["buffer"]], said["dtype"]).reshape(said["shape"]).copy()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
