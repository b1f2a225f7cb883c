"""Pictures of 16 and 32 bits, of a file and of a request; and pictures that are too large."""

import base64
import io
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from coflect_widget.projects.endpoint import service as served
from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.service import Asked, Service
from coflect_widget.projects.endpoint.sources import Served
from coflect_widget.projects.quickstart.columns import column_of
from coflect_widget.projects.quickstart.goals.classes import Classes
from coflect_widget.projects.quickstart.inputs import KINDS
from coflect_widget.projects.quickstart.requested import FieldError
from coflect_widget.projects.quickstart.sheet import Sheet

SHADES = np.linspace(0, 1, 28 * 28).reshape(28, 28)


def encoded(picture, form="PNG"):
    file = io.BytesIO()
    picture.save(file, form)
    return base64.b64encode(file.getvalue()).decode()


def of_files(folder, pictures, form="png"):
    names = [f"{k}.{form}" for k in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        picture.save(folder / name)
    sheet = Sheet("rows", {"file": np.array(names, object)}, folder=folder)
    return sheet, [column_of("file", sheet.cells["file"])]


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ((SHADES * 65_535).astype(np.uint16), "png"),
        ((SHADES * 65_535).astype(np.uint16), "tiff"),
        ((SHADES * 65_535).astype(np.int32), "tiff"),
        (SHADES.astype(np.float32), "tiff"),
        ((SHADES * 255).astype(np.float32), "tiff"),
        ((SHADES * 255).astype(np.uint8), "png"),
    ],
    ids=["16", "16 tiff", "32", "fractions", "to 255", "8"],
)
def test_deep_shades_of_grey_are_scaled_in_files_and_requests(tmp_path, values, form):
    picture = Image.fromarray(values)
    sheet, columns = of_files(tmp_path, [picture] * 3, form)
    inputs = KINDS["image"]()
    assert inputs.unusable(sheet, columns)[0] == []
    inputs.fit(sheet, columns)
    assert inputs.channels == 1
    x = inputs.transform(sheet)
    assert np.abs(x[0, 0] - SHADES).max() < 1 / 255
    asked = inputs.requested({"file": encoded(picture, form)})
    assert np.allclose(inputs.transform(asked), x[:1], atol=1e-5)


@pytest.mark.parametrize(
    ("top", "white", "kind"),
    [(255, 255, np.int32), (4_000, 4_095, np.uint16), (1, 1, np.int32), (1.2, 255, np.float32)],
)
def test_white_is_that_of_the_training_pictures(tmp_path, top, white, kind):
    light, dark = (Image.fromarray((SHADES * part).astype(kind)) for part in (top, top / 2))
    sheet, columns = of_files(tmp_path, [light, dark, dark], "tiff")
    inputs = KINDS["image"]()
    inputs.fit(sheet, columns)
    again = KINDS["image"].from_state(inputs.state())
    x = again.transform(sheet)
    for row, picture in zip(x, (light, dark, dark), strict=True):
        assert np.abs(row[0] - np.asarray(picture, np.float32) / white).max() < 1e-3
    asked = again.requested({"file": encoded(dark, "TIFF")})
    assert np.allclose(again.transform(asked), x[1:2], atol=1e-5)


def test_a_run_of_before_sees_shades_as_it_learned_them(tmp_path):
    sheet, columns = of_files(tmp_path, [Image.fromarray((SHADES * 65_535).astype(np.uint16))] * 3)
    inputs = KINDS["image"]()
    inputs.fit(sheet, columns)
    state = inputs.state()
    del state["white"]
    assert (KINDS["image"].from_state(state).transform(sheet)[0, 0, 1:] == 1).all()


def test_deep_shades_among_coloured_pictures(tmp_path):
    grey = Image.fromarray((SHADES * 65_535).astype(np.uint16))
    sheet, columns = of_files(tmp_path, [Image.new("RGB", (28, 28), "red"), grey])
    inputs = KINDS["image"]()
    inputs.fit(sheet, columns)
    x = inputs.transform(sheet)
    assert x.shape == (2, 3, 28, 28)
    assert np.abs(x[1] - SHADES).max() < 1 / 255


def test_shades_of_which_none_is_white_are_refused(tmp_path):
    beyond = Image.fromarray((SHADES * 1e6).astype(np.int32))
    sheet, columns = of_files(tmp_path, [Image.new("L", (28, 28)), beyond], "tiff")
    found, what = KINDS["image"].unusable(sheet, columns)
    assert found == [1]
    assert "beyond 65,535" in what
    inputs = KINDS["image"]()
    inputs.fit(sheet.rows([0]), columns)
    with pytest.raises(FieldError, match="from 0 to 1e\\+06; expected 0 to 65,535"):
        inputs.requested({"file": encoded(beyond, "TIFF")})


# --- pictures that would hold the service up ------------------------------------------------------


@pytest.fixture
def service():
    inputs = KINDS["image"]()
    inputs.fit(Sheet("rows", {"file": np.zeros((20, 28, 28), np.uint8)}),
               [column_of("file", np.zeros((20, 28, 28), np.uint8))])  # fmt: skip
    goal = Classes()
    goal.classes = ["no", "yes"]
    found = Service("nowhere")
    found.model = Served(
        "pictures", "torch", inputs, goal, "y", lambda x: np.zeros((len(x), 2), np.float32)
    )
    return found


def test_a_small_file_of_many_pixels_is_refused_at_once(service):
    large = encoded(Image.new("1", (9400, 9400)))
    assert len(large) < 30_000
    client = TestClient(make_app(service))
    began = time.perf_counter()
    told = client.post("/predict", json={"row": {"file": large}})
    assert told.status_code == 422
    assert told.json()["detail"] == [
        {"loc": ["body", "row", "file"],
         "msg": "expected a picture of at most 25 million pixels"}
    ]  # fmt: skip
    told = client.post("/predict/batch", json={"rows": [{"file": large}] * 100})
    assert told.json()["detail"][0]["loc"] == ["body", "rows", "0", "file"]
    assert time.perf_counter() - began < 5
    with pytest.raises(FieldError, match="at most 25 million"):
        service.there.inputs.requested({"file": large})


def test_all_pictures_of_a_request_have_so_many_pixels(service, monkeypatch):
    monkeypatch.setattr(served, "MOST_PIXELS", 2_000_000)
    picture = {"file": encoded(Image.new("1", (1000, 1000)))}
    client = TestClient(make_app(service))
    told = client.post("/predict/batch", json={"rows": [picture] * 2})
    assert told.status_code == 200
    told = client.post("/predict/batch", json={"rows": [picture] * 3})
    assert told.status_code == 422
    (detail,) = told.json()["detail"]
    assert detail["loc"] == ["body", "rows", "2"]
    assert "at most 2 million pixels in all" in detail["msg"]
    # and they count as so many rows where requests wait
    assert service.weight(Asked.several([picture] * 2)) == 2 + 8
    small = {"file": encoded(Image.new("1", (28, 28)))}
    assert service.weight(Asked.several([small] * 2)) == 2
