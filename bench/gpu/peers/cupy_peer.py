"""CuPy, with custom kernels: cupy_peer.py KERNELS.ptx"""

import sys

import cupy
import numpy
from peer import Missing, beyond, done, layered, queued, serve

main, aux = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
event0, event1 = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
module = cupy.RawModule(path=sys.argv[1])
touch, spin, norm = (module.get_function(f"bench_{name}") for name in ("touch", "spin", "rms_norm"))
half = max(1, cupy.cuda.Device().attributes["MultiProcessorCount"] // 2)
x, y, z = (cupy.zeros(256, cupy.float32) for _ in range(3))
cupy.cuda.Device().synchronize()
n, a = numpy.int32(1), numpy.float32(2)
PAIRS = 64


def on_main():
    touch((1,), (1,), (n, a, x, y))


def on_aux():
    touch((1,), (1,), (n, a, x, z))


def fork_join(fn0, fn1):
    """Queues on the current stream, which is `main` in all rows."""
    event0.record(main)
    fn0()
    with aux:
        aux.wait_event(event0)
        fn1()
        event1.record(aux)
    main.wait_event(event1)


def four_calls():
    event0.record(main)
    aux.wait_event(event0)
    event1.record(aux)
    main.wait_event(event1)


def two_launches():
    on_main()
    with aux:
        on_aux()


def launch_twice():
    """Only the launches of a fork-join: switching streams counts as part of the fork-join."""
    on_main()
    on_main()


def finish():
    main.synchronize()
    aux.synchronize()


# A graph does not keep the memory that it reads alive. Freed, another row would get it.
kept = []


def captured(queue):
    kept.append(queue)
    main.begin_capture()
    queue()
    graph = main.end_capture()
    return lambda: graph.launch(main)


def spins(way, microseconds):
    count = numpy.int32(microseconds)
    branch = lambda: spin((half,), (1024,), (count,))
    return branch if way == "spin-one" else lambda: fork_join(branch, branch)


def norms(rows, mode, way):
    """Both norms, with the same kernel as auxstream."""
    rows = int(rows)

    def branch(columns):
        source = cupy.random.random((rows, columns), cupy.float32)
        source = (source.view(numpy.uint32) >> 16).astype(numpy.uint16)  # as bfloat16
        weight = cupy.full(columns, 0x3F80, numpy.uint16)
        out = cupy.empty_like(source)
        arguments = (numpy.int32(columns), numpy.float32(1e-6), source, weight, out)
        return lambda: norm((rows,), (256,), arguments)

    query, key = branch(1536), branch(512)
    pair = {
        "main": query,
        "aux": key,
        "sequential": lambda: (query(), key()),
        "parallel": lambda: fork_join(query, key),
    }[way]
    cupy.cuda.Device().synchronize()

    def queue():
        for _ in range(PAIRS):
            pair()

    return layered(captured(queue) if mode == "captured" else queue, finish, PAIRS)


def make_row(name, *arguments):
    if name == "launch":
        return queued(on_main, finish)
    if name == "two-launches":
        return queued(two_launches, finish)
    if name == "four-calls":
        return queued(four_calls, finish)
    if name == "fork-join":
        return queued(lambda: fork_join(on_main, on_aux), finish)
    if name == "fork-join-beyond":
        return beyond(lambda: fork_join(on_main, on_aux), launch_twice, finish)
    if name == "allocation":
        return queued(lambda: cupy.empty(256, cupy.float32), finish)
    if name == "graph-launch":
        return queued(captured(lambda: fork_join(on_main, on_aux)), finish)
    if name == "fork-join-done":
        return done(lambda: fork_join(on_main, on_aux), main.synchronize)
    if name == "graph-done":
        return done(captured(lambda: fork_join(on_main, on_aux)), main.synchronize)
    if name in ("spin-one", "spin-both"):
        return done(spins(name, *arguments), main.synchronize)
    if name == "norms":
        return norms(*arguments)
    raise Missing("CuPy is measured on calls and norms only")


with main:
    serve({"cupy": cupy.__version__}, make_row)
