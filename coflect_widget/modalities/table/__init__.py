"""Tables: rows (F,) of columns, of which a feature has one, or several where it is one-hot."""

from coflect_widget.modalities.table.frames import is_frame
from coflect_widget.modalities.table.modality import TABLE, Table

__all__ = ["TABLE", "Table", "is_frame"]
