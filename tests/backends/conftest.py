"""These tests are not about workers: their sessions share one."""

from tests.one_worker import make_session

__all__ = ["make_session"]
