"""A training with a person in its loop: the object a user holds, and who does what behind it."""

from coflect_widget.session.session import Session, close_all

__all__ = ["Session", "close_all"]
