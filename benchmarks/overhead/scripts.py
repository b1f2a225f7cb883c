"""How long whole scripts take: the loop that people write, and the same with something added.

    python benchmarks/overhead/scripts.py [--workloads a] [--rounds 3] [--blocks 24] [--arms ...]

Each arm is a process of its own, in the environment as it is: the plain loop on the main thread,
a session (everything on) on the thread where it trains by itself, a peer in the loop. The arms of
a round live side by side and train by turns, in blocks of a second or less; whoever has no turn is
stopped by a signal. `woven.py` tells what the tool's own work costs, within one process;
here is also what a session saves.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead.pairs import STILL, Remote, family, send, started
from benchmarks.overhead.workloads import WORKLOADS

PLAIN = "nothing"
WARM_UP = 10.0  # seconds of training before what is measured: a session's workers start meanwhile
BLOCK = {"a": 8, "b": 1, "c": 250, "d": 8, "text": 120, "table": 120}  # steps


class Turn:
    """One arm, which stands still but for its turns."""

    def __init__(self, remote: Remote, name: str) -> None:
        self.remote = remote
        self.how = "plain" if name == PLAIN else "watched"
        self.seconds: list[float] = []
        self.faults: list[float] = []

    def take(self, steps: int) -> float:
        """Seconds of so many steps."""
        send(signal.SIGCONT, family(self.remote.roots))
        seconds, facts = self.remote.ask(self.how, steps)
        send(signal.SIGSTOP, family(self.remote.roots))
        self.seconds.append(seconds)
        self.faults.append(facts["faults"])
        return seconds


def one_round(workload: str, arms: list[str], blocks: int) -> dict[str, dict[str, float]]:
    """Milliseconds and page faults of a step of each arm, in new processes."""
    with contextlib.ExitStack() as stack:
        turns = {arm: Turn(stack.enter_context(started(arm, workload)), arm) for arm in arms}
        for turn in turns.values():
            warm = 0.0
            while warm < WARM_UP:
                warm += turn.take(4 * BLOCK[workload])
            turn.seconds.clear()
            turn.faults.clear()
        for block in range(blocks):
            first = block % len(arms)
            for arm in arms[first:] + arms[:first]:
                turns[arm].take(BLOCK[workload])
        for turn in turns.values():  # they end when they are told so
            send(signal.SIGCONT, family(turn.remote.roots))
    return {
        arm: {
            "ms": sum(turn.seconds) / blocks / BLOCK[workload] * 1e3,
            "faults": float(np.median(turn.faults)),
        }
        for arm, turn in turns.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=["a", "b", "c", "d"], choices=WORKLOADS)
    parser.add_argument("--arms", nargs="+", default=["session"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    for name in STILL:  # as it is in people's own environments
        os.environ.pop(name, None)
    print(f"whole scripts by turns, against the plain loop's: {describe()}")
    print(
        f"{'':24s}{'a step':>12s}{'slower by':>12s}{'lowest to highest round':>26s}{'faults':>9s}"
    )
    results: dict[str, Any] = {}
    for workload in args.workloads:
        arms = [PLAIN, *args.arms]
        print(
            f"{workload}  {WORKLOADS[workload].title}: {args.rounds} rounds of {args.blocks} "
            f"blocks of {BLOCK[workload]} steps"
        )
        rounds: list[dict[str, dict[str, float]]] = []
        results[workload] = rounds
        for _ in range(args.rounds):
            rounds.append(one_round(workload, arms, args.blocks))
            if args.json:  # a round takes minutes
                args.json.parent.mkdir(parents=True, exist_ok=True)
                found = {"machine": describe(), "results": results}
                args.json.write_text(json.dumps(found, indent=1))
        for arm in arms:
            ms, faults = (
                np.median([each[arm][key] for each in rounds]) for key in ("ms", "faults")
            )
            slower = [each[arm]["ms"] / each[PLAIN]["ms"] - 1 for each in rounds]
            said = f"{np.median(slower):>+11.1%} {f'{min(slower):+.1%} to {max(slower):+.1%}':>26s}"
            print(
                f"  {'plain loop' if arm == PLAIN else arm:22s}{ms:>9.2f} ms"
                f"{'' if arm == PLAIN else said:>38s}{faults:>9.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
