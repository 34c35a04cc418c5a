"""PyTorch, written as its users write it, with current streams, events and CUDA graphs: torch_peer.py"""

import torch
from peer import Missing, beyond, done, queued, serve
from torch_workloads import workload

torch.cuda.init()
main, aux = torch.cuda.Stream(), torch.cuda.Stream()
event0, event1 = torch.cuda.Event(), torch.cuda.Event()
y, z = torch.zeros(1, device="cuda"), torch.zeros(1, device="cuda")
torch.cuda.synchronize()


def on_main():
    y.add_(1)


def on_aux():
    z.add_(1)


def fork_join(fn0, fn1):
    """As Python's inference engines do it. The current stream is `main` in all rows."""
    event0.record()
    result0 = fn0()
    with torch.cuda.stream(aux):
        event0.wait()
        result1 = fn1()
        event1.record()
    event1.wait()
    return result0, result1


def four_calls():
    event0.record(main)
    aux.wait_event(event0)
    event1.record(aux)
    main.wait_event(event1)


def two_launches():
    on_main()
    with torch.cuda.stream(aux):
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
    queue()  # makes handles and workspaces, which a capture cannot
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=main):
        queue()
    torch.cuda.synchronize()
    return graph.replay


def random(*shape):
    return torch.empty(*shape, device="cuda", dtype=torch.bfloat16).uniform_(-1, 1)


def product(m, n, k, count):
    """product:M:N:K:COUNT, with weights as those of a linear layer, and the result allocated in advance."""
    if count == 1:
        a, b, out = random(m, k), random(n, k).t(), random(m, n)
        return queued(lambda: torch.mm(a, b, out=out), finish)
    a, b, out = random(count, m, k), random(count, n, k).transpose(1, 2), random(count, m, n)
    return queued(lambda: torch.bmm(a, b, out=out), finish)


def grouped(experts, n, k):
    """grouped:EXPERTS:N:K, a row each, as products one after another."""
    products = [(random(1, k), random(n, k).t(), random(1, n)) for _ in range(experts)]

    def queue():
        for a, b, out in products:
            torch.mm(a, b, out=out)

    return queued(queue, finish)


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
        return queued(lambda: torch.empty(256, device="cuda"), finish)
    if name == "graph-launch":
        return queued(captured(lambda: fork_join(on_main, on_aux)), finish)
    if name == "fork-join-done":
        return done(lambda: fork_join(on_main, on_aux), main.synchronize)
    if name == "graph-done":
        return done(captured(lambda: fork_join(on_main, on_aux)), main.synchronize)
    if name in ("experts", "norms", "lora"):
        return workload(name, arguments, fork_join, captured, finish)
    if name == "product":
        return product(*map(int, arguments))
    if name == "grouped":
        return grouped(*map(int, arguments))
    raise Missing("PyTorch has no public way to launch a kernel that takes a given time")


with torch.cuda.stream(main), torch.inference_mode():
    serve({"torch": torch.__version__, "cuda": torch.version.cuda}, make_row)
