"""What the Python peers share: answering lines, and timing.

A line "ROW BATCHES OPERATIONS" is answered with a line of JSON, see ../peer.ts. A row's name may carry arguments behind
colons. A row that is made ready is kept.
"""

import gc
import json
import sys
import time


class Missing(Exception):
    """This peer has no such row, and why."""


def queued(operation, finish, per=1):
    """The calling thread's time for an operation; the work is waited for outside of it."""

    def run(operations):
        start = time.perf_counter_ns()
        for _ in range(operations):
            operation()
        taken = time.perf_counter_ns() - start
        finish()
        return {"nanoseconds": taken / operations / per}

    return run


def beyond(operation, part, finish):
    """The calling thread's time for an operation, less that of a part of it by itself, one right after the other."""
    whole, partial = queued(operation, finish), queued(part, finish)

    def run(operations):
        return {"nanoseconds": whole(operations)["nanoseconds"] - partial(operations)["nanoseconds"]}

    return run


def done(operation, finish):
    """The time until the work is done, each time."""

    def run(operations):
        start = time.perf_counter_ns()
        for _ in range(operations):
            operation()
            finish()
        return {"nanoseconds": (time.perf_counter_ns() - start) / operations}

    return run


def layered(operation, finish, layers):
    """The time for one of so many layers that an operation queues, until all are done, and the calling thread's."""

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
    """Answers until there are no more lines. make_row(name, *arguments) gives what runs a batch of operations."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
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
