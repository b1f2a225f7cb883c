"""Three kinds of input that a browser draws as what they are: text, series, table of 8 numbers."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from coflect_widget.modalities import Rendering, Units

COUNT, LEAK = 8, 6
HOSTILE = "<img src=x onerror=\"document.title='broken into'\">"
NAMES = ("a", "plain", "film", HOSTILE, "قصة", "a", "leak", "end")


@dataclass(frozen=True)
class Places:
    """Some of the numbers, and how a person said which."""

    which: tuple[int, ...]
    said: str

    def to_json(self):
        return json.loads(self.said)


class Eight(Units):
    """Eight numbers; what is about them alone."""

    noun, nouns = "row", "rows"

    def regions_of(self, value):
        raise NotImplementedError

    def region(self, value, argument, extent=None):
        if isinstance(value, Places):
            return value
        return Places(tuple(self.regions_of(value)), json.dumps(value, sort_keys=True))

    def describe(self, regions):
        return " and ".join(NAMES[n] for region in regions for n in region.which)

    def mask(self, region, extent):
        return np.isin(np.arange(extent[0]), region.which)

    def overlap(self, one, other):
        return bool(set(one.which) & set(other.which))

    def render(self, x, display):
        values = (np.clip(x, -3, 3) + 3) / 6 * 255
        return Rendering(np.repeat(values[None, :, None], 3, 2).round().astype(np.uint8))


class Words(Eight):
    name = "text"

    def regions_of(self, value):
        if "word" in value:
            return [i for i, name in enumerate(NAMES) if name == value["word"]]
        return range(*value["words"])

    def content(self, x, display):
        return {"kind": "text", "words": [{"text": n, "units": [i]} for i, n in enumerate(NAMES)],
                "length": COUNT}  # fmt: skip


class Curve(Eight):
    name = "series"

    def regions_of(self, value):
        start, stop = value["interval"]
        return range(round(start * COUNT), round(stop * COUNT))

    def content(self, x, display):
        values = [*x[:-1], np.nan]  # what is unknown is null in JSON
        return {"kind": "series", "channels": [{"name": HOSTILE, "values": values}],
                "length": COUNT}  # fmt: skip


class Features(Eight):
    name = "table"

    def regions_of(self, value):
        return [NAMES.index(name) for name in value["features"]]

    def content(self, x, display):
        return {"kind": "table", "rows": [
            {"name": n, "text": f"{v:.2f}", "at": (v + 3) / 6, "units": [i]}
            for i, (n, v) in enumerate(zip(NAMES, x, strict=True))]}  # fmt: skip


def rows(count, seed):
    """Numbers of which the first two tell the class, and the leak alone nearly does."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, COUNT), np.float32)
    y = ((x[:, 0] + x[:, 1] > 0) ^ (rng.random(count) < 0.08)).astype(np.int64)
    x[:, LEAK] = 2 * np.where(rng.random(count) < 0.97, y, 1 - y) - 1
    return x, y


def session_of(make_session, kind, **arguments):
    """A session of 200 such rows, not trained yet."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(COUNT, 16), nn.ReLU(), nn.Linear(16, 2))
    return make_session(
        model, rows(200, 1), rows(100, 2), batch_size=50, inputs=kind,
        optimizer=torch.optim.Adam(model.parameters(), 0.02), **arguments,
    )  # fmt: skip
