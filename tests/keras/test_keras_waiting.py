"""A Keras training on a sample that is not finite: named, left out, gone on with."""

import numpy as np
import pytest

from coflect_widget.backends.base import NonFiniteLossError
from tests.keras.keras_models import compiled, sequential


@pytest.fixture
def odd(shapes):
    """Images (64, H, W, C), of which the 17th has a NaN, and labels."""
    images = shapes.images.transpose(0, 2, 3, 1)[:64].copy()
    images[17, 2, 2, 0] = np.nan
    return images, shapes.labels[:64]


def test_wait_names_the_sample_and_leaving_it_out_goes_on(make_session, odd):
    session = make_session(model=compiled(sequential()), data=odd, batch_size=64)
    session.train(epochs=2)
    with pytest.raises(NonFiniteLossError, match="Sample 17 has input values that are NaN"):
        session.wait()
    assert session.state == "paused"
    session.judge(17, "leave out")
    session.resume()
    assert session.wait(240)
    assert session.state == "finished"
    assert session.metrics["step"] == 1  # of two; the first batch was left out


def test_a_fit_that_nobody_could_resume_names_it_and_goes_on(make_session, odd):
    model = compiled(sequential())
    session = make_session(model=model, data=odd)
    images, labels = odd
    with pytest.warns(RuntimeWarning, match="Sample 17 has input values"):
        model.fit(
            images, labels, sample_weight=np.arange(64), batch_size=32, epochs=2, verbose=0,
            callbacks=[session.keras_callback()],
        )  # fmt: skip
    assert session.state == "finished"
    assert session.metrics["step"] == 2  # the batches with it were left out
