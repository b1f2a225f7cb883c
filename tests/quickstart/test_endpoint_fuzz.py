"""Whatever is sent, the service answers 2xx or 4xx, in JSON, and goes on."""

import json
import random
import string

import pytest
from fastapi.testclient import TestClient

from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.service import Service

PATHS = ("/predict", "/predict/batch", "/forecast", "/model/info", "/health", "/metrics", "/")
KEYS = (
    "row", "rows", "steps", "target", "age", "paid", "plan", "joined", "", "\ud800", "__class__",
)  # fmt: skip
WORDS = (
    "", "basic", "2020-01-01", "9999-12-31 23:59", "0000-00-00", "NaN", "1e999", "\x00", "\ud800",
    "../../etc/passwd", "<script>", "'; --", "é" * 999, "x" * 1001, "%s%n", "true",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**63, -(2**63), 10**400, 1e308, -1e308, 5e-324, float("nan"), float("inf"))


def value(rng, depth=0):
    """Anything that JSON, as Python reads and writes it, can hold."""
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice(WORDS)
    if kind == 3:
        return rng.uniform(-1e3, 1e3)
    if kind == 4:
        return "".join(rng.choices(string.printable, k=rng.randrange(20)))
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def changed(rng, row):
    """A row that could be, or one that nearly could."""
    row = dict(row)
    for _ in range(rng.randrange(3)):
        if rng.random() < 0.2:
            row.pop(rng.choice([*row]), None)
        if row or rng.random() < 0.5:
            row[rng.choice([*row, *KEYS])] = value(rng)
    return row


def request(rng, row):
    """Method, path, body and headers of one request."""
    method = rng.choices(["POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS"], [40, 3, 1, 1, 1, 1])[
        0
    ]
    path = rng.choices(PATHS, [12, 8, 4, 1, 1, 1, 1])[0]
    if rng.random() < 0.03:
        path += "".join(rng.choices(string.ascii_letters + "/%?.&=", k=8))
    kind = rng.randrange(10)
    rows = [changed(rng, row) for _ in range(rng.choice([0, 1, 2, 5, 100, 101]))]
    body = {"row": changed(rng, row)} if path != "/predict/batch" else {"rows": rows}
    if kind == 0:
        body = value(rng)
    elif kind == 1:
        body[rng.choice(KEYS)] = value(rng)
    content = json.dumps(body).encode()
    if kind == 2:  # bytes that are changed
        spoilt = bytearray(content)
        for _ in range(rng.randrange(1, 5)):
            if spoilt:
                spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        content = bytes(spoilt)[: rng.randrange(len(spoilt) + 1)]
    elif kind == 3:
        deep = rng.choice([90, 500, 900, 3000])
        nested = b'{"row": {"age": ' + b"[" * deep + b"]" * deep + b"}}"
        content = rng.choice([b"", b"\x00" * 50, rng.randbytes(30), b'{"row":' * 900, nested])
    headers = {"content-type": "application/json"}
    if rng.random() < 0.1:
        types = ["text/plain", "multipart/form-data", "", "application/json; charset=utf-16"]
        headers["content-type"] = rng.choice(types)
    if rng.random() < 0.05:
        headers[rng.choice(["content-length", "x-api-key", "content-encoding"])] = rng.choice(
            ["0", "99999999999", "-1", "gzip", "ten"]
        )
    return method, path, content, headers


def fuzz(trained, count, seed):
    """Counts of statuses."""
    rng, found = random.Random(seed), {}
    with TestClient(make_app(Service(trained.run)), raise_server_exceptions=False) as client:
        for number in range(count):
            method, path, content, headers = request(rng, trained.row)
            answer = client.request(method, path, content=content, headers=headers)
            sent = f"request {number}: {method} {path} {headers} {content[:300]!r}"
            assert 200 <= answer.status_code < 300 or 400 <= answer.status_code < 500, sent
            if answer.status_code == 422:
                assert answer.json()["detail"][0]["loc"], sent
            elif method != "HEAD" and path != "/metrics":
                json.loads(answer.text, parse_constant=pytest.fail)
            found[answer.status_code] = found.get(answer.status_code, 0) + 1
        told = client.post("/predict", json={"row": trained.row})
        assert told.status_code == 200
    return found


def test_some_hundred_requests_of_all_kinds(trained):
    found = fuzz(trained, 300, seed=0)
    assert {200, 404, 405, 422} <= set(found)


@pytest.mark.slow
def test_ten_thousand_requests_of_all_kinds(trained):
    print(fuzz(trained, 10_000, seed=1))
