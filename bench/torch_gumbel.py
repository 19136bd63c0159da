"""Times torch.nn.functional.gumbel_softmax on the CPU, in float32 at tau 0.7.

usage: torch_gumbel.py [THREADS [SECONDS]]     (Debian: apt-get install python3-torch)

Each case runs for SECONDS (default 0.5) and 20 times at least. One line a case:
shape, case, median ns/element. "backward" is forward and backward together.
"""

import statistics
import sys
import time

import torch
from torch.nn.functional import gumbel_softmax

SHAPES = [(100, 20, 10), (4096, 10), (1024, 1000), (64, 32000)]
TAU = 0.7
WARM_UP, LEAST = 3, 20


def median_seconds(step, seconds):
    for _ in range(WARM_UP):
        step()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def forward(logits, hard):
    return lambda: gumbel_softmax(logits, tau=TAU, hard=hard)


def backward(logits, hard):
    leaf = logits.clone().requires_grad_()
    upstream = torch.randn_like(logits)

    def step():
        leaf.grad = None  # a fresh gradient, not one added to the last
        gumbel_softmax(leaf, tau=TAU, hard=hard).backward(upstream)

    return step


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    torch.manual_seed(0)
    for shape in SHAPES:
        logits = torch.randn(shape)
        for hard in (False, True):
            for make in (forward, backward):
                ns = median_seconds(make(logits, hard), seconds) / logits.numel() * 1e9
                name = "x".join(map(str, shape))
                print(name, ("hard" if hard else "soft") + "/" + make.__name__, "%.3f" % ns, flush=True)


if __name__ == "__main__":
    main()
