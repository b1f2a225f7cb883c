"""What a kind of data says: which columns are of it, and how they become a network's inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.sheet import Sheet


class Inputs(Protocol):
    """Fitted on the training part only.

    Attributes
    ----------
    name : str
        What a person gives as `kind`.
    words : str
        What the data are taken for, for sentences.
    goals : tuple of str
        Names of what can be learned from it.
    offered : bool
        Whether it is one of the readings where nobody names a task.
    by_column : bool
        Whether each column says something by itself, and may give the target away.
    sources : list of str
        Names of the columns that `transform` reads.
    steps : int
        Steps of training that usually are enough.
    said : list of str
        What was done to the cells and is worth knowing.
    marks : mapping of str to str
        How numbers are written, as of `marks_of`, in the columns that have commas; the target's
        too.
    """

    name: ClassVar[str]
    words: ClassVar[str]
    goals: ClassVar[tuple[str, ...]]
    offered: ClassVar[bool]
    by_column: ClassVar[bool]
    steps: ClassVar[int]
    said: list[str]
    marks: Mapping[str, str]

    @property
    def sources(self) -> list[str]:
        """See above."""

    @classmethod
    def suits(cls, sheet: Sheet, columns: Sequence[Column], target: Column) -> str:
        """Why the columns, without the target, may be of this kind; "" where they cannot."""

    @classmethod
    def uses(cls, columns: Sequence[Column]) -> list[Column]:
        """Those that the network is given."""

    @classmethod
    def unusable(cls, sheet: Sheet, columns: Sequence[Column]) -> tuple[list[int], str]:
        """Rows that cannot be read, and what they are called."""

    def samples(self, sheet: Sheet, columns: Sequence[Column], target: str) -> Sheet:
        """Rows that are samples: of most kinds the rows as they are."""

    @classmethod
    def told_by(cls, columns: Sequence[Column]) -> list[Column]:
        """Columns of `samples` by which two are equal."""

    def asked(self, sheet: Sheet) -> Sheet:
        """The same of rows whose target is to be told."""

    def judged(self, sheet: Sheet) -> Sheet:
        """The same of rows whose target is known."""

    def fit(self, sheet: Sheet, columns: Sequence[Column]) -> None:
        """Learn scales, categories or words from the training part.

        Raises
        ------
        ValueError
            If nothing can be made of it.
        """

    def transform(self, sheet: Sheet) -> NDArray[Any]:
        """What the network takes (N, ...)."""

    def requested(self, row: Mapping[str, Any]) -> Sheet:
        """One row of a request, JSON, as the cells that `asked` takes.

        Raises
        ------
        FieldError
            If a cell is missing or none that the column can have.
        """

    def weight(self, row: Mapping[str, Any]) -> int:
        """Pixels of a row of a request, of which nothing is computed yet; 0 of other kinds.

        Raises
        ------
        FieldError
            If there are none that can be read, or too many.
        """

    def following(self, sheet: Sheet, count: int) -> list[str]:
        """The moments, ISO 8601, that come after the rows of a request; [] of what has no clock.

        Raises
        ------
        FieldError
            If they follow no clock.
        """

    def wanted(self) -> dict[str, str]:
        """What a request has to give for each column, in words."""

    def network(self, x: NDArray[Any], outputs: int) -> dict[str, Any]:
        """Plain values of which `networks.make` makes the network for such inputs."""

    def arguments(self) -> dict[str, Any]:
        """What a `Session` is told of the inputs."""

    def plain(self, sheet: Sheet) -> Callable[[Sheet], Any]:
        """Cells as a matrix (N, features) for scikit-learn, fitted on the training part."""

    def state(self) -> dict[str, Any]:
        """Plain values; `from_state` makes the same of them."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Inputs:
        """What `state` gave, checked."""
