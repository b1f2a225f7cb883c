"""What fields of a message say of themselves: binary parts, and those that older kernels lack."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field


def older(value: Any) -> Any:
    """Mark a field that older kernels do not send; the browser takes `value` in its place."""
    return Field(json_schema_extra={"default": value})


def binary(kind: Literal["bytes", "pairs"], **more: Any) -> Any:
    """Mark the number of a buffer: the browser has the bytes, or pairs of float64, in its place.

    With ``size=[...]`` the bytes must be as many as the product of these fields and numbers; with
    ``within="name"`` the browser has them as a field of an object `name`.
    """
    return Field(json_schema_extra={"binary": kind, **more})


#: Older kernels leave it to the classes; see ``js/src/older.ts``.
FROM_CLASSES = Field(json_schema_extra={"default_from": "wrongNow"})
Png = Annotated[int | None, binary("bytes")]
Cells = Annotated[int | None, binary("bytes", size=["map_width", "map_height"], within="maps")]
Mask = Annotated[int | None, binary("bytes", size=["map_width", "map_height"], within="masks")]
