"""Shared by the Python peers: answering lines, and timing.

A line "ROW BATCHES OPERATIONS" is answered with a line of JSON, see ../peer.ts. A row's name may carry arguments behind
colons. A row that is made ready is kept.
"""

import gc
import json
import sys
import time


class Missing(Exception):
    """Why this peer has no such row."""


def queued(operation, finish, per=1):
    """The calling thread's time for an operation, without the wait for its work."""

    def run(operations):
        start = time.perf_counter_ns()
        for _ in range(operations):
            operation()
        taken = time.perf_counter_ns() - start
        finish()
        return {"nanoseconds": taken / operations / per}

    return run


def beyond(operation, part, finish):
    """The calling thread's time for an operation minus the time of a part of it, measured directly after it."""
    whole, partial = queued(operation, finish), queued(part, finish)

    def run(operations):
        return {"nanoseconds": whole(operations)["nanoseconds"] - partial(operations)["nanoseconds"]}

    return run


def done(operation, finish):
    """The time until the work of each operation is done."""

    def run(operations):
        start = time.perf_counter_ns()
        for _ in range(operations):
            operation()
            finish()
        return {"nanoseconds": (time.perf_counter_ns() - start) / operations}

    return run


def layered(operation, finish, layers):
    """The time of one layer, where an operation queues several layers and waits for all; and the calling thread's time."""

    def run(operations):
        start = time.perf_counter_ns()
        for _ in range(operations):
            operation()
        queued_at = time.perf_counter_ns()
        finish()
        count = operations * layers
        return {"nanoseconds": (time.perf_counter_ns() - start) / count, "host": (queued_at - start) / count}

    return run


def serve(versions, make_row):
    """Answers each line of the input. make_row(name, *arguments) returns a function that runs a batch of operations."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # keeps what libraries print out of the answers
    rows = {}

    def say(answer):
        print(json.dumps(answer), file=answers, flush=True)

    say({"ready": True, "versions": versions})
    for line in sys.stdin:
        try:
            row, batches, operations = line.split()
            if row not in rows:
                rows[row] = make_row(*row.split(":"))
                gc.collect()
            gc.disable()
            samples = [rows[row](int(operations)) for _ in range(int(batches))]
            say({key: [sample[key] for sample in samples] for key in samples[0]})
        except Missing as reason:
            say({"missing": str(reason)})
        except Exception as error:
            say({"failed": f"{type(error).__name__}: {error}"})
        finally:
            gc.enable()
