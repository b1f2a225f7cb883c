"""Made-up patients: what tells, what leaks, and that arguments are checked."""

import numpy as np
import pytest

from coflect_widget.data import patients


def test_equal_arguments_give_equal_rows_and_only_the_invoice_differs():
    one, other = patients(300), patients(300, invoice="random")
    assert (patients(300).rows == one.rows).all()
    assert (one.labels == other.labels).all()
    assert (one.rows[:, :-1] == other.rows[:, :-1]).all()
    assert not (patients(300, seed=1).rows == one.rows).all()
    assert len(one) == 300
    x, y = one[5]
    assert x.shape == (13,)
    assert y == one.labels[5]
    assert "invoice; classes well, ill" in repr(one)


def test_sugar_tells_and_the_invoice_leaks():
    def right(data, name):
        values = data.rows[:, data.modality.columns.index(name)]
        return ((values > 0) == data.labels).mean()

    leaking, honest = patients(4000), patients(4000, invoice="random")
    assert right(leaking, "invoice") > 0.95
    assert right(honest, "invoice") == pytest.approx(0.5, abs=0.03)
    assert right(honest, "sugar") > 0.8
    chance = [right(honest, name) for name in ("cholesterol", "weight", "pulse", "sex", "smoker")]
    assert max(abs(np.array(chance) - 0.5)) < 0.03
    assert honest.rows[:, 8:12].sum(1).tolist() == [1] * 4000


@pytest.mark.parametrize("given", [{"n": 0}, {"seed": -1}, {"invoice": "mine"}])
def test_arguments_are_checked(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        patients(**given)
