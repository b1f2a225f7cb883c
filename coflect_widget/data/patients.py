"""A table of made-up patients: what tells who is ill is known, and so is a column that leaks.

Sugar tells, with some help of pressure and age; all other columns are chance. Only the invoice is
written after the diagnosis: a network reads the class there, and nothing about a patient.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from coflect_widget.data.tables import TableDataset
from coflect_widget.modalities.table import Table

Invoice = Literal["class", "random"]

#: Mean and standard deviation of the columns that are measured.
_MEASURED = {
    "age": (54.0, 14.0), "pressure": (128.0, 16.0), "sugar": (105.0, 22.0),
    "cholesterol": (195.0, 34.0), "weight": (78.0, 14.0), "pulse": (72.0, 9.0),
}  # fmt: skip
_REGIONS = ("north", "east", "south", "west")
_COLUMNS = (
    "age", "sex", "pressure", "sugar", "cholesterol", "weight", "pulse", "smoker",
    *(f"region_{name}" for name in _REGIONS), "invoice",
)  # fmt: skip
#: How much each tells, in standard deviations.
_TELLING = {"sugar": 2.0, "pressure": 0.8, "age": 0.6}
#: Share of labels that nothing tells, and mean invoices of the two classes and their spread.
_CHANCE, _INVOICES, _INVOICE_SPREAD = 0.05, (240.0, 660.0), 105.0


def patients(n: int = 1200, *, invoice: Invoice = "class", seed: int = 0) -> TableDataset:
    """Rows of 13 columns and 10 features; equal arguments give equal arrays.

    Measured columns are given to the model less their mean and divided by their standard
    deviation, and shown as they were.

    Parameters
    ----------
    n : int
        Patients, at least 1.
    invoice : {"class", "random"}
        Whose diagnosis the invoice is for: the patient's own, or that of a random class, as it is
        for whoever comes in tomorrow. All else is the same for both.
    seed : int
        Not negative. Another seed gives other patients, as for a test set.

    Returns
    -------
    TableDataset
        ``.rows`` (n, 13) float32, ``.labels`` (n,) int64, 1 where a patient is ill, ``.classes``,
        ``.modality`` with the names of the columns.

    Raises
    ------
    ValueError
        If an argument is none of the above.
    """
    if n < 1:
        raise ValueError(f"n = {n}; expected at least 1 patient")
    if seed < 0:
        raise ValueError(f"seed = {seed}; expected 0 or more")
    if invoice not in ("class", "random"):
        raise ValueError(f"invoice = {invoice!r}; expected 'class' or 'random'")
    rng = np.random.default_rng([seed, 7])
    measured = {name: rng.standard_normal(n) for name in _MEASURED}
    odds = sum(weight * measured[name] for name, weight in _TELLING.items())
    labels = ((odds > 0) ^ (rng.random(n) < _CHANCE)).astype(np.int64)
    region = rng.integers(0, len(_REGIONS), n)
    columns = {f"region_{name}": region == k for k, name in enumerate(_REGIONS)}
    columns |= {"sex": rng.integers(0, 2, n), "smoker": rng.random(n) < 0.3, **measured}
    noise, other = rng.standard_normal(n), rng.integers(0, 2, n)
    billed = np.array(_INVOICES)[labels if invoice == "class" else other] + _INVOICE_SPREAD * noise
    middle, wide = float(np.mean(_INVOICES)), float(np.ptp(_INVOICES)) / 2
    columns["invoice"] = (billed - middle) / wide
    scaling = {**_MEASURED, "invoice": (middle, wide)}
    kind = Table(
        _COLUMNS,
        groups={"region": [f"region_{name}" for name in _REGIONS]},
        codes={"sex": ["female", "male"], "smoker": ["no", "yes"]},
        mean=[scaling.get(name, (0, 1))[0] for name in _COLUMNS],
        std=[scaling.get(name, (0, 1))[1] for name in _COLUMNS],
    )
    rows = np.stack([np.asarray(columns[name], np.float32) for name in _COLUMNS], 1)
    return TableDataset(rows, labels, ["well", "ill"], kind)
