"""Requests that wait are answered together, each as if it were alone."""

import asyncio
import threading

import httpx
import numpy as np
import pytest

from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.batching import Batcher, BusyError
from coflect_widget.projects.endpoint.service import Service
from coflect_widget.projects.quickstart.pipeline import Pipeline
from tests.conftest import eventually


def people(count):
    rng = np.random.default_rng(1)
    return [
        {"age": float(age), "paid": float(paid), "plan": plan, "joined": "2020-01-05"}
        for age, paid, plan in zip(rng.normal(45, 12, count), rng.gamma(2, 800, count),
                                   rng.choice(["basic", "plus"], count), strict=True)
    ]  # fmt: skip


def test_many_at_once_get_what_each_would_get_alone(trained, monkeypatch):
    """Also where some of them cannot be used, and where some ask for the same."""
    service = Service(trained.run, cached=50)
    rows = people(120)
    told = Pipeline.of(trained.run).predict(rows)
    sent = [*rows, *rows[:20], {**rows[0], "age": "forty"}]
    queued, held, plain, together = [], threading.Event(), Batcher.ask, service.together

    def holding(asked):
        assert held.wait(60)
        return together(asked)

    async def ask_counted(self, item, count):
        queued.append(item)
        if len(queued) == len(sent):  # this one too, by the time the loop comes to it
            asyncio.get_running_loop().call_soon(held.set)
        return await plain(self, item, count)

    monkeypatch.setattr(service, "together", holding)
    monkeypatch.setattr(Batcher, "ask", ask_counted)

    async def ask():
        app = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=app, base_url="http://localhost") as client:
            answers = await asyncio.gather(
                *(client.post("/predict", json={"row": row}) for row in sent)
            )
            again = [await client.post("/predict", json={"row": row}) for row in rows[:3]]
            return answers, again, (await client.get("/metrics")).text

    answers, again, metrics = asyncio.run(ask())
    assert answers[-1].status_code == 422
    for one, other in zip([*answers[:-1], *again], [*told, *told[:20], *told[:3]], strict=True):
        assert one.status_code == 200
        shares = one.json()["prediction"]["probabilities"]
        assert shares == pytest.approx(other["probabilities"], abs=1e-5)
    counts = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line[0] != "#")
    assert float(counts["coflect_batch_rows_sum"]) == len(sent) + 3
    # The first that came, the others by 64, and three alone.
    assert float(counts["coflect_batch_rows_count"]) <= 1 + 3 + 3
    assert float(counts["coflect_cached_rows_total"]) == service.hits > 0


def test_outputs_are_remembered_up_to_a_number(trained):
    rows = people(8)

    def hits(cached):
        service = Service(trained.run, cached=cached)
        client = httpx.ASGITransport(make_app(service))

        async def ask():
            async with httpx.AsyncClient(transport=client, base_url="http://localhost") as asking:
                for row in [*rows, *rows[4:], rows[0]]:
                    await asking.post("/predict", json={"row": row})

        asyncio.run(ask())
        return service.hits

    assert (hits(0), hits(4), hits(8)) == (0, 4, 5)


def test_what_waits_while_one_is_answered_is_answered_together():
    held, sizes, before = threading.Event(), [], set(threading.enumerate())

    def together(items):
        sizes.append(len(items))
        held.wait(60)
        return [ValueError("odd") if item % 2 else 10 * item for item in items]

    batcher = Batcher(together, most=4, most_waiting=8)

    async def ask():
        asked = [asyncio.ensure_future(batcher.ask(0))]
        await asyncio.to_thread(eventually, lambda: sizes)
        asked += [asyncio.ensure_future(batcher.ask(k)) for k in range(1, 8)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await batcher.ask(8)
        held.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    told = asyncio.run(ask())
    assert [answer for answer in told if not isinstance(answer, Exception)] == [0, 20, 40, 60]
    assert sizes == [1, 4, 3]
    assert asyncio.run(batcher.ask(4)) == 40  # another loop
    batcher.close()
    assert asyncio.run(batcher.ask(6)) == 60  # it begins again
    batcher.close()
    more = set(threading.enumerate()) - before
    assert not [thread for thread in more if thread.name == "coflect-answers"]


def test_a_fault_within_is_told_to_each_and_ends_nothing():
    def together(items):
        if "bad" in items:
            raise RuntimeError("out of memory")
        return items

    batcher = Batcher(together)
    with pytest.raises(RuntimeError, match="memory"):
        asyncio.run(batcher.ask("bad"))
    assert asyncio.run(batcher.ask("good")) == "good"
    batcher.close()


def test_who_has_gone_holds_nobody_up():
    held = threading.Event()

    def together(items):
        held.wait(60)
        return items

    batcher = Batcher(together)

    async def ask():
        first, gone, stays = (asyncio.ensure_future(batcher.ask(k)) for k in range(3))
        await asyncio.sleep(0)
        gone.cancel()
        held.set()
        return await asyncio.wait_for(asyncio.gather(first, stays), 60)

    assert asyncio.run(ask()) == [0, 2]
    batcher.close()
