"""What is served, behind the routes: rows of requests in, what the model says out."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.endpoint.explaining import Maps
from coflect_widget.projects.endpoint.keeping import Keeper
from coflect_widget.projects.endpoint.sources import Served, open_served
from coflect_widget.projects.quickstart.requested import FieldError

Row = Mapping[str, Any]
#: Of all pictures of a request; reading them takes about a second.
MOST_PIXELS = 100_000_000
#: So many are read in about the time that another row takes.
_PIXELS_A_ROW = 250_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of one request.

    Attributes
    ----------
    rows : sequence of mapping
    places : sequence of tuple of str
        Where each of them stands in the request.
    """

    rows: Sequence[Row]
    places: Sequence[tuple[str, ...]]

    @classmethod
    def one(cls, row: Row) -> Asked:
        """The row of a request that has one."""
        return cls([row], [("body", "row")])

    @classmethod
    def several(cls, rows: Sequence[Row]) -> Asked:
        """Those of a request that has a list."""
        return cls(rows, [("body", "rows", str(k)) for k in range(len(rows))])


class Service:
    """Without a model it says why; it never raises for that.

    Parameters
    ----------
    source : path or str
        As of `open_served`.
    own : callable, optional
        What made the network of a run, where `quickstart` was given one.
    cached : int
        Outputs of so many rows are remembered, those that were asked for last; 0 remembers none.
    keep : int
        So many requests are kept on disk, for a person to label; 0 keeps none.

    Attributes
    ----------
    model : Served or None
    why : str
        Why there is none.
    hits : int
        Rows whose outputs were remembered.
    keeper : Keeper or None

    Raises
    ------
    ValueError, OSError
        If requests cannot be kept.
    """

    def __init__(
        self,
        source: str | Path,
        own: Callable[..., Any] | None = None,
        *,
        cached: int = 1024,
        keep: int = 0,
    ) -> None:
        self.model: Served | None = None
        self.why = ""
        self.hits = 0
        self._cached = cached
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        try:
            self.model = open_served(source, own)
        except (ValueError, OSError, ImportError) as error:
            self.why = str(error)
        self.keeper: Keeper | None = None
        if keep and self.model is not None:
            if self.model.folder is None:
                raise ValueError(f"requests to {source} cannot be kept; serve a run or a file")
            self.keeper = Keeper(self.model.folder, keep)

    @property
    def there(self) -> Served:
        """The model, of which the routes know that there is one."""
        assert self.model is not None  # noqa: S101 - the routes ask before
        return self.model

    def together(self, asked: Sequence[Asked]) -> list[list[dict[str, Any]] | Exception]:
        """What the model says of the rows of each request, all computed at once.

        On one thread at a time. A request with a cell that cannot be used gets a `FieldError`,
        which says where it stands; the others get their answers.
        """
        found: dict[bytes, NDArray[Any]] = {}
        wanted: dict[bytes, NDArray[Any]] = {}
        plans: list[list[bytes] | Exception] = []
        for one in asked:
            try:
                plans.append([
                    self._planned(row, place, found, wanted)
                    for row, place in zip(one.rows, one.places, strict=True)
                ])  # fmt: skip
            except RecursionError:
                plans.append(FieldError("", "lists lie too deep in each other").below(("body",)))
            except Exception as error:  # noqa: BLE001 - it is one request's, whatever it is
                plans.append(error)
        if wanted:
            outputs = self.there.outputs(np.concatenate(list(wanted.values())))
            found.update(zip(wanted, outputs, strict=True))
            self._keep({name: found[name] for name in wanted})
        return [
            plan if isinstance(plan, Exception) else self._told(plan, one.places, found)
            for plan, one in zip(plans, asked, strict=True)
        ]

    def weight(self, asked: Asked) -> int:
        """How many rows a request counts as: pictures that are large count as several.

        Raises
        ------
        FieldError
            If a picture cannot be used, or those of the request have too many pixels together.
        """
        pixels = 0
        for row, place in zip(asked.rows, asked.places, strict=True):
            try:
                pixels += self.there.inputs.weight(row)
            except FieldError as error:
                raise error.below(place) from None
            if pixels > MOST_PIXELS:
                text = f"expected pictures of at most {MOST_PIXELS / 1e6:.0f} million pixels in all"
                raise FieldError("", text).below(place)
        return len(asked.rows) + pixels // _PIXELS_A_ROW

    def inputs_of(self, row: Row, place: tuple[str, ...]) -> NDArray[Any]:
        """What the network takes (1, ...) for one row.

        Raises
        ------
        FieldError
            If a cell cannot be used.
        """
        inputs = self.there.inputs
        try:
            return inputs.transform(inputs.asked(inputs.requested(row)))
        except FieldError as error:
            raise error.below(place) from None
        except ValueError as error:
            raise FieldError("", str(error)).below(place) from None

    def moments(self, row: Row, place: tuple[str, ...]) -> list[str]:
        """When what is told of a row will be; [] of a model that tells nothing ahead."""
        inputs = self.there.inputs
        try:
            return inputs.following(inputs.requested(row), self.there.goal.outputs)
        except FieldError as error:
            raise error.below(place) from None

    def maps(self) -> Maps | None:
        """What makes maps, where the network is at hand."""
        model = self.model
        if model is None or model.pipeline is None or model.folder is None:
            return None
        return Maps(model.pipeline, model.folder)

    @property
    def outcomes(self) -> list[str]:
        """What the outputs are called: classes, or their numbers."""
        goal = self.there.goal
        return goal.state().get("classes") or [str(k) for k in range(goal.outputs)]

    def info(self) -> dict[str, Any]:
        """What is served."""
        model = self.there
        return {
            "run": model.name,
            "form": model.form,
            "kind": model.inputs.name,
            "task": model.goal.name,
            "target": model.target,
            "columns": model.inputs.wanted(),
            "classes": model.goal.state().get("classes"),
            "test": model.test,
            "kept": None
            if self.keeper is None
            else {"requests": len(self.keeper), "at_most": self.keeper.most},
        }

    def _planned(
        self,
        row: Row,
        place: tuple[str, ...],
        found: dict[bytes, NDArray[Any]],
        wanted: dict[bytes, NDArray[Any]],
    ) -> bytes:
        """The row's name, under which its outputs will be found."""
        name = digest(row)
        if name in found or name in wanted:
            return name
        if name in self._known:
            self._known.move_to_end(name)
            self.hits += 1
            found[name] = self._known[name]
        else:
            wanted[name] = self.inputs_of(row, place)
        return name

    def _keep(self, outputs: Mapping[bytes, NDArray[Any]]) -> None:
        if not self._cached:
            return
        for name, told in outputs.items():
            self._known[name] = np.array(told)  # a view would keep the whole batch
        while len(self._known) > self._cached:
            self._known.popitem(last=False)

    def _told(
        self,
        plan: Sequence[bytes],
        places: Sequence[tuple[str, ...]],
        found: Mapping[bytes, NDArray[Any]],
    ) -> list[dict[str, Any]] | Exception:
        outputs = np.stack([found[name] for name in plan])
        for number in np.flatnonzero(~np.isfinite(outputs).all(1))[:1]:
            error = FieldError("", "numbers are too large for the network")
            return error.below(places[number])
        return self.there.goal.readable(outputs)


def digest(row: Row) -> bytes:
    """A name of what a row holds."""
    text = json.dumps(row, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
