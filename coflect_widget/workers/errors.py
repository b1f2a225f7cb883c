"""What can go wrong with a worker process."""

from __future__ import annotations


class WorkerError(RuntimeError):
    """A job was not answered; the message says for which reason."""


class WorkerLostError(WorkerError):
    """The worker died, hung or ran out of memory twice with the same job, or did not start."""


class WorkRefusedError(WorkerError):
    """No worker can do this work; the message says what to do."""


class PoolClosedError(WorkerError):
    """The pool was closed before the job was answered."""
