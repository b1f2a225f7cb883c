"""Reading one item of a person's data: an error names the item."""

from __future__ import annotations


def named(error: Exception, where: str) -> Exception:
    """An error of the same kind whose message begins with what was read, "train_data[10]".

    An error whose kind takes no message of ours becomes a RuntimeError.
    """
    said = str(error) or type(error).__name__
    text = f"{where}: {said}"
    try:
        made = type(error)(text)
    except Exception:  # noqa: BLE001 - a constructor of anybody's
        made = None
    if made is None or where not in str(made):
        return RuntimeError(f"{where}: {type(error).__name__}: {said}")
    return made
