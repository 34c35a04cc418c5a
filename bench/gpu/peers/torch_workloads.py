"""The real workloads in PyTorch, on the shapes of ../ours/. As there, all results are allocated in advance."""

import math

import torch
import torch.nn.functional as F
from peer import layered

BFLOAT16 = {"device": "cuda", "dtype": torch.bfloat16}


def workload(name, arguments, fork_join, captured, finish):
    """name:SIZE:MODE:WAY, where MODE is eager or captured and WAY main, aux, sequential or parallel."""
    size, mode, way = arguments
    branches, layers = {"experts": experts, "norms": norms, "lora": lora}[name](int(size))

    def queue():
        for layer in range(layers):
            main, aux, join = branches(layer)
            if way == "parallel":
                fork_join(main, aux)
                join()
            elif way == "sequential":
                main()
                aux()
                join()
            elif way == "main":
                main()
            else:
                aux()

    queue()
    torch.cuda.synchronize()
    return layered(captured(queue) if mode == "captured" else queue, finish, layers)


HIDDEN, INNER, EXPERTS, TOP, SHARED = 2048, 1408, 64, 6, 2816
KEPT_LAYERS = 4
_weights = None


def weights():
    """Random weights of four layers, so that each layer's are read from memory, not from the cache."""
    global _weights
    if _weights is None:
        random = lambda *shape: torch.empty(*shape, **BFLOAT16).uniform_(-0.03, 0.03)
        _weights = [
            (
                random(EXPERTS, 2 * INNER, HIDDEN),
                random(EXPERTS, HIDDEN, INNER),
                random(2 * SHARED, HIDDEN),
                random(HIDDEN, SHARED),
            )
            for _ in range(KEPT_LAYERS)
        ]
    return _weights


def experts(tokens):
    """Routed beside shared experts of DeepSeek-V2-Lite. Routing is fixed and even: pair p of a token and one of its six
    experts is given to expert p mod the number of experts in use, as products of equal shape in one batch."""
    pairs = tokens * TOP
    used = min(EXPERTS, pairs)
    rows = math.ceil(pairs / used)
    pair = torch.arange(pairs, device="cuda")
    slot = pair % used * rows + pair // used
    token_of = torch.zeros(used * rows, dtype=torch.long, device="cuda")
    token_of[slot] = pair // TOP
    share = torch.full((tokens, 1, TOP), 1 / TOP, **BFLOAT16)
    x = torch.empty(tokens, HIDDEN, **BFLOAT16).uniform_(-1, 1)
    gathered = torch.empty(used * rows, HIDDEN, **BFLOAT16)
    gate_up = torch.empty(used, rows, 2 * INNER, **BFLOAT16)
    inner = torch.empty(used, rows, INNER, **BFLOAT16)
    down = torch.empty(used, rows, HIDDEN, **BFLOAT16)
    picked = torch.empty(pairs, HIDDEN, **BFLOAT16)
    routed_out = torch.empty(tokens, 1, HIDDEN, **BFLOAT16)
    shared_gate_up = torch.empty(tokens, 2 * SHARED, **BFLOAT16)
    shared_inner = torch.empty(tokens, SHARED, **BFLOAT16)
    shared_out = torch.empty(tokens, HIDDEN, **BFLOAT16)

    def silu_mul(source, columns, out):
        gate, up = source[..., :columns], source[..., columns:]
        torch.mul(F.silu(gate, inplace=True), up, out=out)

    def branches(layer):
        w13, w2, s13, s2 = weights()[layer % KEPT_LAYERS]
        first = layer * used % (EXPERTS - used + 1)

        def routed():
            torch.index_select(x, 0, token_of, out=gathered)
            torch.bmm(gathered.view(used, rows, HIDDEN), w13[first : first + used].transpose(1, 2), out=gate_up)
            silu_mul(gate_up, INNER, inner)
            torch.bmm(inner, w2[first : first + used].transpose(1, 2), out=down)
            torch.index_select(down.view(used * rows, HIDDEN), 0, slot, out=picked)
            torch.bmm(share, picked.view(tokens, TOP, HIDDEN), out=routed_out)

        def shared():
            torch.mm(x, s13.t(), out=shared_gate_up)
            silu_mul(shared_gate_up, SHARED, shared_inner)
            torch.mm(shared_inner, s2.t(), out=shared_out)

        return routed, shared, lambda: shared_out.add_(routed_out.view(tokens, HIDDEN))

    return branches, 32


def norms(rows):
    """The norms of queries and of keys and values of DeepSeek-R1, with PyTorch's own operator."""

    def branch(columns):
        source = torch.empty(rows, columns, **BFLOAT16).uniform_(-1, 1)
        weight = torch.ones(columns, **BFLOAT16)
        return lambda: F.rms_norm(source, (columns,), weight, 1e-6)

    query, key = branch(1536), branch(512)
    return lambda layer: (query, key, lambda: None), 64


def lora(rank):
    """A projection of 32 rows from 4096 to 11008 beside its low-rank addition."""
    rows, inputs, outputs = 32, 4096, 11008
    random = lambda *shape: torch.empty(*shape, **BFLOAT16).uniform_(-0.03, 0.03)
    kept = [(random(outputs, inputs), random(rank, inputs), random(outputs, rank)) for _ in range(4)]
    x = torch.empty(rows, inputs, **BFLOAT16).uniform_(-1, 1)
    base_out = torch.empty(rows, outputs, **BFLOAT16)
    small = torch.empty(rows, rank, **BFLOAT16)
    addition = torch.empty(rows, outputs, **BFLOAT16)

    def branches(layer):
        base, shrink, expand = kept[layer % 4]

        def aux():
            torch.mm(x, shrink.t(), out=small)
            torch.mm(small, expand.t(), out=addition)

        return lambda: torch.mm(x, base.t(), out=base_out), aux, lambda: base_out.add_(addition)

    return branches, 32
