"""Times torch.nn.functional.gumbel_softmax on a GPU, in float32 at tau 0.7.

usage: torch_gumbel_cuda.py [SECONDS]

Each case runs for SECONDS (default 0.5), as PyTorch runs it and compiled by
torch.compile. One line a case: torch, eager or compile, shape, case, median
ns/element. "backward" is forward and backward together. Steps are timed by CUDA
events, many between two of them, so that the GPU need not wait for Python.
"""

import statistics
import sys
import time

import torch
from torch.nn.functional import gumbel_softmax

SHAPES = [(1024, 1000), (64, 32000), (65536, 10), (8192, 8192)]
TAU = 0.7
WARM_UP, BATCHES = 5, 7


def batch_milliseconds(step, n):
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(n):
        step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def median_seconds(step, seconds):
    for _ in range(WARM_UP):
        step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    batch_milliseconds(step, 10)
    each = (time.perf_counter() - began) / 10
    n = max(1, int(seconds / BATCHES / each))
    return statistics.median(batch_milliseconds(step, n) for _ in range(BATCHES)) / n / 1e3


def forward(sample, logits):
    return lambda: sample(logits)


def backward(sample, logits):
    leaf = logits.clone().requires_grad_()
    upstream = torch.randn_like(logits)

    def step():
        leaf.grad = None  # a fresh gradient, not one added to the last
        sample(leaf).backward(upstream)

    return step


def main():
    if not (torch.cuda.is_available() and hasattr(torch, "compiler")):
        sys.exit("torch_gumbel_cuda.py: wants a GPU and PyTorch 2.1 or newer, not %s" % torch.__version__)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
    print("PyTorch %s on %s" % (torch.__version__, torch.cuda.get_device_name()), file=sys.stderr)
    torch.manual_seed(0)
    for shape in SHAPES:
        logits = torch.randn(shape, device="cuda")
        for hard in (False, True):

            def sample(x, hard=hard):
                return gumbel_softmax(x, tau=TAU, hard=hard)

            torch.compiler.reset()  # because it stops compiling after eight shapes
            for how, f in (("eager", sample), ("compile", torch.compile(sample, dynamic=False))):
                for make in (forward, backward):
                    ns = median_seconds(make(f, logits), seconds) / logits.numel() * 1e9
                    name = "x".join(map(str, shape))
                    print("torch", how, name, ("hard" if hard else "soft") + "/" + make.__name__, "%.5f" % ns, flush=True)


if __name__ == "__main__":
    main()
