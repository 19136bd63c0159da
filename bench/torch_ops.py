"""Times what PyTorch has instead of this library's other ops on the CPU, in float32.

usage: torch_ops.py [THREADS [SECONDS]]     (Debian: apt-get install python3-torch)

Each case runs for SECONDS (default 0.5) and 20 times at least. One line a case:
shape, case, median ns/element. "backward" is forward and backward together. The names
and inputs are those of BenchmarkOps.
"""

import sys

import torch
from torch.distributions import Bernoulli, Categorical, RelaxedBernoulli, kl_divergence
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

from torch_gumbel import median_seconds

SHAPES = [(4096, 10), (1024, 1000)]
TAU = torch.tensor(0.7)


def relaxed_bernoulli(logits):
    return RelaxedBernoulli(TAU, logits=logits, validate_args=False).rsample()


def relaxed_log_prob(value, logits):
    return LogitRelaxedBernoulli(TAU, logits=logits, validate_args=False).log_prob(value)


def concrete_log_prob(value, logits):
    return ExpRelaxedCategorical(TAU, logits=logits, validate_args=False).log_prob(value)


def log_prob(value, logits):
    return (value * logits.log_softmax(-1)).sum(-1)


def entropy(logits):
    return Categorical(logits=logits, validate_args=False).entropy()


def kl(p, q):
    return kl_divergence(Categorical(logits=q, validate_args=False), Categorical(logits=p, validate_args=False))


def kl_uniform(q):
    return kl(torch.zeros_like(q), q)


def bernoulli_kl(p, q):
    return kl_divergence(Bernoulli(logits=q, validate_args=False), Bernoulli(logits=p, validate_args=False))


# A function of two arrays has a gradient to the second only.
OPS = {
    "relaxed-bernoulli": relaxed_bernoulli,
    "relaxed-log-prob": relaxed_log_prob,
    "concrete-log-prob": concrete_log_prob,
    "log-prob": log_prob,
    "entropy": entropy,
    "kl": kl,
    "kl-uniform": kl_uniform,
    "bernoulli-kl": bernoulli_kl,
}


def steps(function, shape):
    """Returns the forward step, and the one with the gradient."""
    count = function.__code__.co_argcount
    inputs = [torch.randn(shape) for _ in range(count)]
    upstream = torch.randn_like(function(*inputs))
    leaf = inputs[-1].clone().requires_grad_()

    def backward():
        leaf.grad = None  # a fresh gradient, not one added to the last
        function(*inputs[:-1], leaf).backward(upstream)

    return {"forward": lambda: function(*inputs), "backward": backward}


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    torch.manual_seed(0)
    for shape in SHAPES:
        for name, function in OPS.items():
            for step, run in steps(function, shape).items():
                ns = median_seconds(run, seconds) / (shape[0] * shape[1]) * 1e9
                print("x".join(map(str, shape)), name + "/" + step, "%.3f" % ns, flush=True)


if __name__ == "__main__":
    main()
