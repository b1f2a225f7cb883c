"""Overlays on another executor: Dask with two local workers, through a whole session."""

import os
import signal

import numpy as np
import pytest
from dask.distributed import Client, LocalCluster


@pytest.fixture(scope="module")
def client():
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        yield client


def test_a_session_explains_on_dask(client, make_session):
    with client.get_executor() as executor:
        session = make_session(executor=executor)
        session.train(steps=10)
        session.wait(240)
        a = session.explain(3)
        assert a.map.shape == (32, 32)
        assert a.map.max() == pytest.approx(1)
        assert a.model_step == 10
        slot = session._made().scheduler.pool.interactive
        assert slot.inline
        assert slot.pid is None  # no worker of our own
        where = client.run(lambda: "coflect_widget.backends.torch.methods" in sys_modules())
        assert any(where.values())  # it was computed over there
        session.close()
        assert executor.submit(os.getpid).result(30) != os.getpid()  # still its owner's


def test_a_lost_dask_worker_costs_no_request(client, make_session):
    with client.get_executor() as executor:
        session = make_session(executor=executor)
        futures = [session._made().desk.explain(index) for index in range(6)]
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        for future in futures:
            assert np.isfinite(future.result(90).map).all()


def test_what_is_no_executor_is_refused_before_anything_starts(client, make_session, tmp_path):
    with pytest.raises(TypeError, match="get_executor"):
        make_session(executor=client.cluster)
    assert not (tmp_path / "runs").exists()


def sys_modules():
    import sys

    return sys.modules
