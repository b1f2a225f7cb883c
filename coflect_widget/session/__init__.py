"""A training with a person in its loop: the object a user holds, and who does what behind it."""

from coflect_widget.session.kernel import close_all
from coflect_widget.session.session import Session

__all__ = ["Session", "close_all"]
