"""Commands reach the training thread at step boundaries, in order, and never block the sender."""

import threading
import time

import pytest

from coflect_widget.training.controls import Controls, submit_between_steps


class Steps:
    """A thread that does nothing but boundaries."""

    def __init__(self, controls):
        self.controls = controls
        self.count = 0
        self.holds = []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        self.controls.attach()
        while self.controls.boundary(self.holds.append):
            self.count += 1
            time.sleep(0.0005)
        self.controls.detach()

    def __enter__(self):
        self.thread.start()
        wait(lambda: self.count > 0)
        return self

    def __exit__(self, *exception):
        self.controls.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()


def wait(condition, seconds=5):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.001)


def test_pause_holds_and_resume_lets_go():
    controls = Controls()
    with Steps(controls) as steps:
        controls.pause()
        wait(lambda: steps.holds == [True])
        held_at = steps.count
        time.sleep(0.1)
        assert steps.count == held_at
        controls.resume()
        wait(lambda: steps.count > held_at)
        assert steps.holds == [True, False]


def test_commands_run_on_the_training_thread_in_order():
    controls = Controls()
    ran = []
    with Steps(controls) as steps:
        futures = [
            controls.submit(lambda i=i: ran.append((i, threading.current_thread())) or i)
            for i in range(100)
        ]
        assert [future.result(5) for future in futures] == list(range(100))
        assert {thread for _, thread in ran} == {steps.thread}
    assert [i for i, _ in ran] == list(range(100))


def test_commands_run_while_held():
    controls = Controls()
    with Steps(controls) as steps:
        controls.pause()
        wait(lambda: steps.holds == [True])
        assert controls.submit(lambda: "done").result(5) == "done"
        assert controls.paused


def test_commands_run_at_once_where_nothing_trains():
    assert Controls().submit(threading.current_thread).result(0) is threading.current_thread()


def test_a_failing_command_reaches_its_sender_and_not_the_training():
    controls = Controls()
    with Steps(controls) as steps:
        future = controls.submit(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            future.result(5)
        before = steps.count
        wait(lambda: steps.count > before)


def test_stop_ends_a_held_training_and_leaves_no_command_unanswered():
    controls = Controls()
    with Steps(controls) as steps:
        controls.pause()
        wait(lambda: steps.holds == [True])
        controls.stop()
        last = controls.submit(lambda: "answered")
        steps.thread.join(5)
        assert last.result(5) == "answered"


def test_ten_thousand_pauses_and_resumes_end_in_a_running_training():
    controls = Controls()
    with Steps(controls) as steps:
        for _ in range(10_000):
            controls.pause()
            controls.resume()
        before = steps.count
        wait(lambda: steps.count > before + 5)


def test_a_rest_holds_the_training_only_for_its_block_and_is_counted():
    controls = Controls()
    with Steps(controls) as steps:
        with controls.rest(5):
            wait(lambda: controls._rests and _still(steps))
            held_at = steps.count
            time.sleep(0.1)
            assert steps.count == held_at
            assert controls.submit(lambda: "ran").result(2) == "ran"  # as between any two steps
            assert steps.count == held_at
        wait(lambda: steps.count > held_at)
        assert 0.1 <= controls.rested < 5
        assert controls.rests == 1
        assert steps.holds == []  # the person did not pause


def test_a_rest_is_over_after_its_bound_whatever_hangs():
    controls = Controls()
    with Steps(controls) as steps, controls.rest(0.05):
        wait(lambda: controls.rests == 1)
        at = steps.count
        wait(lambda: steps.count > at + 5)  # the block is still open
        assert controls.rested < 2
        assert controls.rests == 1


def test_after_a_rest_training_goes_on_for_as_long():
    controls = Controls()
    with Steps(controls) as steps:
        with controls.rest(0.2):
            wait(lambda: controls.rests == 1)
        at, since = steps.count, time.monotonic()
        with controls.rest(5):
            wait(lambda: controls.rested > 0.2 and _still(steps))
            assert time.monotonic() - since > 0.15
            assert steps.count > at


def test_stop_and_pause_come_through_a_rest():
    controls = Controls()
    with Steps(controls) as steps, controls.rest(20):
        wait(lambda: controls._rests and _still(steps))
        controls.pause()
        wait(lambda: steps.holds == [True])
        controls.resume()
        wait(lambda: steps.holds == [True, False] or _still(steps))
        controls.stop()
        steps.thread.join(2)
        assert not steps.thread.is_alive()


def test_a_snapshot_is_taken_in_a_rest():
    controls, looked = Controls(), []
    controls.attach()
    with controls.rest(0.3):
        threading.Timer(0.1, controls.nudge).start()
        assert controls.boundary(lambda _: None, lambda: looked.append(controls.rested))
    controls.detach()
    assert len(looked) >= 2
    assert looked[0] < 0.25


def test_nothing_rests_while_nothing_trains():
    controls = Controls()
    with controls.rest(5):
        assert controls._rests == []
    assert controls.rested == 0


def _still(steps):
    before = steps.count
    time.sleep(0.02)
    return steps.count == before


def test_what_must_run_beside_no_step_runs_between_those_of_another_session():
    idle, busy = Controls(), Controls()
    here = threading.current_thread()
    assert submit_between_steps(idle, threading.current_thread).result(0) is here
    with Steps(busy) as steps:
        ran = submit_between_steps(idle, threading.current_thread)
        assert ran.result(5) is steps.thread
    assert submit_between_steps(idle, threading.current_thread).result(0) is here


def test_a_training_does_not_begin_beside_what_must_run_beside_no_step():
    controls = Controls()
    seen = []

    def action():
        thread = threading.Thread(target=lambda: (controls_of_another.attach(), seen.append(1)))
        thread.start()
        time.sleep(0.1)
        seen.append(0)
        return thread

    controls_of_another = Controls()
    submit_between_steps(controls, action).result(0).join(5)
    assert seen == [0, 1]
    controls_of_another.detach()


def test_a_command_and_a_read_that_ask_for_each_other_do_not_lock():
    """Nothing trains: a command reads between steps, and so does another thread meanwhile."""
    controls = Controls()
    read = threading.Thread(target=lambda: submit_between_steps(controls, int), daemon=True)
    answers = []

    def command():
        read.start()
        time.sleep(0.1)
        return submit_between_steps(controls, lambda: 7).result(5)

    def send():
        answers.append(controls.submit(command).result(5))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    sender.join(5)
    read.join(5)
    assert answers == [7]
    assert not read.is_alive()


def test_a_command_that_waits_as_training_ends_runs_under_no_lock():
    controls = Controls()
    controls.attach()
    done = []

    def command():
        other = threading.Thread(target=lambda: done.append(controls.submit(int)), daemon=True)
        other.start()
        other.join(5)

    threading.Thread(target=lambda: controls.submit(command)).start()
    wait(lambda: controls.attention and controls._queue)
    controls.detach()
    assert len(done) == 1
    assert done[0].result(5) == 0


def test_the_thread_that_trains_serves_while_it_waits():
    controls = Controls()
    controls.attach()
    given = []
    sender = threading.Thread(target=lambda: given.append(controls.submit(lambda: 3).result(5)))
    sender.start()
    seen = []
    controls.serve(lambda: bool(given), 5, lambda: seen.append(1))
    sender.join(5)
    controls.detach()
    assert given == [3]
    assert seen
