"""cuda.core, NVIDIA's Python interface to the CUDA driver: cuda_core_peer.py KERNELS.ptx"""

import sys

import cuda.core
import numpy
from cuda.core import Device, LaunchConfig, ObjectCode, launch
from peer import Missing, beyond, done, queued, serve

device = Device()
device.set_current()
main, aux = device.create_stream(), device.create_stream()
event0, event1 = device.create_event(), device.create_event()
with open(sys.argv[1], "rb") as file:
    module = ObjectCode.from_ptx(file.read())
touch, spin = module.get_kernel("bench_touch"), module.get_kernel("bench_spin")
once = LaunchConfig(grid=1, block=1)
half = LaunchConfig(grid=max(1, device.properties.multiprocessor_count // 2), block=1024)
x, y, z = (device.allocate(1024, stream=main) for _ in range(3))
n, a = numpy.int32(1), numpy.float32(2)
main.sync()


def touch_main():
    launch(main, once, touch, n, a, x, y)


def touch_aux():
    launch(aux, once, touch, n, a, x, z)


def fork_join(on_main, on_aux):
    main.record(event0)
    on_main()
    aux.wait(event0)
    on_aux()
    aux.record(event1)
    main.wait(event1)


def four_calls():
    main.record(event0)
    aux.wait(event0)
    aux.record(event1)
    main.wait(event1)


def two_launches():
    touch_main()
    touch_aux()


def fork_join_of_two():
    fork_join(touch_main, touch_aux)


def finish():
    main.sync()
    aux.sync()


def captured():
    builder = main.create_graph_builder()
    builder.begin_building("thread_local")
    left, right = builder.split(2)
    launch(left, once, touch, n, a, x, y)
    launch(right, once, touch, n, a, x, z)
    type(builder).join(left, right)
    graph = builder.end_building().complete()
    return lambda: graph.launch(main)


def make_row(name, *arguments):
    if name == "launch":
        return queued(touch_main, finish)
    if name == "two-launches":
        return queued(two_launches, finish)
    if name == "four-calls":
        return queued(four_calls, finish)
    if name == "fork-join":
        return queued(fork_join_of_two, finish)
    if name == "fork-join-beyond":
        return beyond(fork_join_of_two, two_launches, finish)
    if name == "graph-launch":
        return queued(captured(), finish)
    if name == "fork-join-done":
        return done(fork_join_of_two, main.sync)
    if name == "graph-done":
        return done(captured(), main.sync)
    if name in ("spin-one", "spin-both"):
        microseconds = numpy.int32(arguments[0])
        left = lambda: launch(main, half, spin, microseconds)
        right = lambda: launch(aux, half, spin, microseconds)
        return done(left if name == "spin-one" else lambda: fork_join(left, right), main.sync)
    raise Missing("cuda.core is measured on calls only")


serve({"cuda.core": cuda.core.__version__}, make_row)
