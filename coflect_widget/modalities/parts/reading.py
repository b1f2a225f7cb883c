"""What a person says of one part among several: by its name, or by what no other part can mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coflect_widget.modalities.base import Region
from coflect_widget.modalities.parts.part import Part, PartRegion, UnreadRegion

Named = tuple[str, tuple[Region, ...]]


def regions_of(parts: Sequence[Part], value: Any, argument: str) -> tuple[Region, ...]:
    """Regions of ``{name: ...}``, of the JSON form, or of what fits one part alone.

    Raises
    ------
    ValueError
        If no part can mean it, or several can.
    """
    names = [part.name for part in parts]
    if isinstance(value, Mapping):
        if isinstance(value.get("part"), str) and value["part"] not in value:
            form = {name: one for name, one in value.items() if name != "part"}
            return _inner(parts, value["part"], form, argument)
        unknown = [name for name in value if name not in names]
        if not value or not unknown:
            return tuple(
                region
                for name, one in value.items()
                for region in _inner(parts, name, one, f"{argument}[{name!r}]")
            )
    found: dict[str, tuple[Region, ...]] = {}
    why: list[str] = []
    for part in parts:
        try:
            inner = part.modality.regions(value, argument, part.extent)
        except (ValueError, TypeError, KeyError) as error:
            why.append(f"{part.name}: {error}")
            continue
        found[part.name] = tuple(PartRegion(part.name, region) for region in inner)
    if len(found) == 1:
        return next(iter(found.values()))
    shown = ", ".join(map(repr, found or names))
    remedy = f"say which input is meant, {argument}={{{(list(found) or names)[0]!r}: ...}}"
    if not found:
        raise ValueError(f"{argument}={value!r} is a region of no input; {remedy} ({why[0]})")
    raise ValueError(f"{argument}={value!r} could be a region of {shown}; {remedy}")


def unread(value: Mapping[str, Any]) -> tuple[Region, ...]:
    """Regions of ``{name: one or a list}`` for who knows the parts; see `regions_of`."""
    return tuple(
        UnreadRegion.of({"part": name, "given": one})
        for name, given in value.items()
        for one in (given if isinstance(given, list) else [given])
    )


def _inner(parts: Sequence[Part], name: str, value: Any, argument: str) -> tuple[Region, ...]:
    part = next((one for one in parts if one.name == name), None)
    if part is None:
        known = ", ".join(repr(one.name) for one in parts)
        raise ValueError(f"{argument}: there is no input {name!r}; there are {known}")
    if isinstance(value, Mapping) and set(value) == {"given"}:  # it went through JSON
        value = tuple(value["given"]) if isinstance(value["given"], list) else value["given"]
    inner = part.modality.regions(value, argument, part.extent)
    return tuple(PartRegion(name, region) for region in inner)


def read_words(parts: Sequence[Part], words: str, *, bare: bool) -> Named | str:
    """Regions that words name, with the words in one spelling; or why they name none."""
    for part in parts:
        name = part.name.casefold()
        for start in (f"{name}: ", f"{name}:", f"{name} "):
            if words.startswith(start) and words != start:
                found = part.modality.read(words.removeprefix(start).strip(), bare=bare)
                return found if isinstance(found, str) else _named(part, found)
    several: list[Named] = []
    why = "there is no such instruction"
    for part in parts:
        found = part.modality.read(words, bare=bare)
        if isinstance(found, str):
            why = found
        else:
            several.append(_named(part, found))
    if len(several) == 1:
        return several[0]
    if several:
        first = several[0][0]
        return f"more than one input could be meant; name one, as in {first!r}"
    return why


def _named(part: Part, found: Named) -> Named:
    words, regions = found
    return f"{part.name}: {words}", tuple(PartRegion(part.name, one) for one in regions)
