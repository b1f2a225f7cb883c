"""Five files as people have them: each is wrong in its own ways, and one cannot be learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

PRAISE = ("wunderschön", "lovely", "brilliant", "très bon", "moving", "charming")
BLAME = ("fürchterlich", "awful", "boring", "déjà vu", "tedious", "clumsy")
PLAIN = ("the", "film", "was", "we", "saw", "it", "in", "a", "small", "café", "near", "home")


def mixed(folder: Path, n: int = 600) -> Path:
    """Semicolons, decimal commas, words among numbers, gaps, and a column for each kind."""
    rng = np.random.default_rng(1)
    age, paid = rng.normal(45, 12, n).round(), rng.gamma(2, 800, n)
    plan = rng.choice(["basic", "plus", "PRO"], n, p=[0.5, 0.3, 0.2])
    odds = 0.08 * (age - 45) + (plan == "PRO") * 1.5 - paid / 2000 + rng.normal(0, 0.7, n)
    lines = ["customer id;age;paid;plan;joined;country;left"]
    for k in range(n):
        cells = [
            f"C{k:05d}",
            "unknown" if k % 29 == 0 else "" if k % 13 == 0 else f"{age[k]:.0f}",
            f"{paid[k]:.2f}".replace(".", ","),
            "" if k % 17 == 0 else plan[k],
            f"20{10 + k % 12:02d}-{1 + k % 12:02d}-{1 + k % 28:02d}",
            "DE",
            "yes" if odds[k] > 0 else "no",
        ]
        lines.append(";".join(cells))
    lines.insert(100, "a;torn;line")
    return _written(folder / "mixed.csv", "\n".join(lines).encode())


def doubled(folder: Path, n: int = 500) -> Path:
    """Two rows in five are there again."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 4))
    y = (x[:, 0] + 0.5 * x[:, 1] > 0) ^ (rng.random(n) < 0.05)
    rows = [
        ",".join([*(f"{v:.3f}" for v in row), "up" if up else "down"])
        for row, up in zip(x, y, strict=True)
    ]
    again = [rows[k] for k in rng.integers(0, n, 2 * n // 3)]
    order = rng.permutation([*rows, *again])
    return _written(folder / "doubled.csv", "\n".join(["a,b,c,d,label", *order]).encode())


def leaking(folder: Path, n: int = 600) -> Path:
    """A column that was written after the diagnosis, and a few measurements that tell something."""
    rng = np.random.default_rng(3)
    sugar, age = rng.normal(105, 22, n), rng.normal(54, 14, n)
    ill = (sugar - 105) / 22 + 0.4 * (age - 54) / 14 + rng.normal(0, 0.6, n) > 0.3
    bill = np.where(ill, 600, 240) + rng.normal(0, 20, n)
    rows = [
        f"{s:.0f},{a:.0f},{b:.2f},{'ill' if i else 'well'}"
        for s, a, b, i in zip(sugar, age, bill, ill, strict=True)
    ]
    return _written(folder / "leaking.csv", "\n".join(["sugar,age,bill,diagnosis", *rows]).encode())


def encoded(folder: Path, n: int = 700) -> Path:
    """Reviews, most in Windows-1252 and some in UTF-8, with commas and quotation marks in them."""
    rng = np.random.default_rng(4)
    lines = [b"review,opinion"]
    for k in range(n):
        good = bool(rng.integers(2))
        said = good if rng.random() > 0.05 else not good
        words = [*rng.choice(PLAIN, 8), rng.choice(PRAISE if said else BLAME)]
        rng.shuffle(words)
        text = " ".join(words).replace(" was ", ' ""was"", ')
        line = f'"{text}",{"good" if good else "bad"}'
        lines.append(line.encode("utf-8" if k % 10 == 0 else "cp1252"))
    return _written(folder / "encoded.csv", b"\r\n".join(lines))


def one_class(folder: Path, n: int = 80) -> Path:
    """All rows are of one class."""
    rng = np.random.default_rng(5)
    rows = [f"{v:.3f},{w:.3f},pass" for v, w in rng.normal(size=(n, 2))]
    return _written(folder / "one_class.csv", "\n".join(["a,b,result", *rows]).encode())


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


FILES: dict[str, Callable[..., Path]] = {
    made.__name__: made for made in (mixed, doubled, leaking, encoded, one_class)
}
