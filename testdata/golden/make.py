#!/usr/bin/python3
"""Makes the golden files beside it with PyTorch. The tests need only the files.

Usage: python3 testdata/golden/make.py
Made with PyTorch 1.13 (Debian's python3-torch, CPU, one thread). Another version
or processor may change the last digits of a number, nothing more.

Each file is a JSON array, one case a line. A tensor is a string: its elements in
row-major order, separated by spaces, each the shortest decimal that reads as the same
float64 back, or "-inf". A gradient is that of sum(upstream * value). null stands for a
gradient that PyTorch makes NaN: it is left out, not invented. No case is here whose
value PyTorch makes NaN or infinite; the script fails on one.

gumbel_softmax.json
    value = softmax((logits + noise) / tau) along axis, or with hard its one-hot argmax,
    with the gradient of F.gumbel_softmax: y_hard - y_soft.detach() + y_soft. That
    expression itself is off 0 and 1 by rounding, so the value stored is y_hard.
    For cases whose names begin with "torch" F.gumbel_softmax itself is called: the noise
    is what it drew, and its sample and gradients are checked to be those stored.
    With a class masked by -inf the gradient to tau is null: PyTorch multiplies 0 by
    infinity there.
bce_with_logits.json
    value = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").
categorical_kl.json
    value = kl_divergence(Categorical(logits=q), Categorical(logits=p)) along axis; where
    p is null, p is uniform. PyTorch's value is infinite where a probability of p
    underflows and that of q does not, so p is extreme alone up to 255 only. With a
    masked class the gradients are null: 0 times infinity again.
perplexity.json
    value = exp(-sum p log p), p the mean of softmax(logits): prob_perplexity of fairseq's
    GumbelVectorQuantizer, before its sum over groups, and without the 1e-7 inside its
    logarithm. With groups the last axis has that many blocks of classes, and there is a
    value per group; groups is null for one mean over all axes but the classes'. Where a
    class is masked in the whole batch the gradient is null: PyTorch multiplies 0 by the
    logarithm of 0.
hard_concrete.json
    value = clamp(sigmoid((logalpha + noise) / tau) * (zeta - gamma) + gamma, 0, 1). PyTorch
    has no hard concrete distribution, so this is the formula, with autograd's gradients.
    open = sigmoid(logalpha - tau * log(-gamma / zeta)), the probability of a value other
    than 0, with gradients of sum(upstream * open).
concrete_log_prob.json
    value = ExpRelaxedCategorical(tau, logits=logits).log_prob(y) along axis. PyTorch has no
    masks: with masked classes it is that of the others alone, and their gradients are 0.
bernoulli_kl.json
    value = kl_divergence(Bernoulli(logits=q), Bernoulli(logits=p)); where p is null, its
    logits are 0. Logits are at most 20 in size: beyond, PyTorch's softplus(x) is x, which
    is off by exp(-20), and from 37 on its divergence is infinite.
relaxed_bernoulli_log_prob.json
    value = LogitRelaxedBernoulli(tau, logits=logits).log_prob(y).

All is computed in float64. Inputs are float32 numbers (but for the noise of the
"torch" cases), so float32 code can be held to the same values. Softmax's argument is
shifted by its maximum, detached: no value and no gradient depends on that, and it spares
the cancellation of large numbers. Noise is equal where large logits are: their sum, in
float64, would lose it. Each value is also computed without the shift, and the
two must agree as far as rounding lets them.
"""

import itertools
import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Categorical, kl_divergence
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

HERE = pathlib.Path(__file__).parent
TAUS = [0.05, 0.1, 0.5, 1.0, 2.0, 10.0]
SHAPES = [(5,), (3, 4), (2, 3, 4), (2, 2, 3, 2)]
ROUNDING = 2.0**-53

torch.set_num_threads(1)
torch.manual_seed(20240229)


def float32(t):
    """t, each element rounded to the nearest float32."""
    return t.float().double()


def normal(shape, scale=1.0):
    """Normal numbers on a grid of 1/64: short in the files, exact in float32."""
    return (torch.randn(shape, dtype=torch.float64) * scale * 64).round() / 64


def gumbel(shape):
    return float32(-torch.empty(shape, dtype=torch.float64).exponential_().log())


def upstream(shape):
    return torch.randint(-16, 17, shape).double() / 8


def shifted(logits, axis):
    return logits - logits.detach().amax(axis, keepdim=True)


def text(t):
    """The elements of t, or None where one is NaN."""
    if t is None or t.isnan().any():
        return None
    return " ".join(repr(v).removesuffix(".0") for v in t.flatten().tolist())


def agree(a, b, size):
    """Fails unless a and b agree to the rounding of numbers of this size."""
    assert torch.allclose(a, b, rtol=1e-12, atol=8 * ROUNDING * max(size, 1.0)), (a, b)


def write(name, cases):
    lines = []
    for case in cases:
        assert case["value"] is not None and "inf" not in case["value"], case
        lines.append(json.dumps(case, separators=(",", ":")))
    path = HERE / name
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{name}: {len(lines)} cases, {path.stat().st_size} bytes")


def axes():
    """Every shape with each of its axes, counted from either end."""
    for shape in SHAPES:
        for axis in range(-len(shape), len(shape)):
            yield shape, axis


# Gumbel-softmax.


def one_hot(soft, axis):
    return torch.zeros_like(soft).scatter_(axis, soft.argmax(axis, keepdim=True), 1.0)


def clear_winner(logits, noise, axis):
    """Whether the argmax of logits + noise survives rounding the sum to float32."""
    if logits.shape[axis] == 1:
        return True
    top = (logits + noise).topk(2, axis).values
    first, second = top.select(axis, 0), top.select(axis, 1)
    return bool((first - second > first.abs() * 2.0**-20).all())


def lowest_wins(logits, noise, axis):
    """Whether a tie exists and PyTorch, as it should, took its lowest index."""
    total = (logits + noise).movedim(axis, -1)
    top = total.amax(-1, keepdim=True)
    first = (total == top).long().cumsum(-1).eq(0).sum(-1)
    return bool(((total == top).sum(-1) > 1).any()) and first.equal(total.argmax(-1))


def reference(logits, noise, axis, tau, hard, up):
    """The soft sample, and the gradients to logits and tau of sum(up * sample)."""
    l, t = logits.clone().requires_grad_(), tau.clone().requires_grad_()
    soft = (shifted(l + noise, axis) / t).softmax(axis)
    z = (logits + noise) / tau
    agree(soft.detach(), z.softmax(axis), z[z.isfinite()].abs().max().item())
    y = one_hot(soft, axis) - soft.detach() + soft if hard else soft
    (y * up).sum().backward()
    return soft.detach(), l.grad, t.grad


def gumbel_softmax(name, logits, axis, tau, hard, noise=None, torch_y=None):
    """One case. Noise not given is drawn, until no float32 rounding can change the argmax.

    torch_y, if given, computes the sample from logits and tau in another way, that must
    give the same.
    """
    if noise is None:
        noise = gumbel(logits.shape)
        while not clear_winner(logits, noise, axis):
            noise = gumbel(logits.shape)
    tau = float32(torch.tensor(tau, dtype=torch.float64))
    up = upstream(logits.shape)
    soft, dlogits, dtau = reference(logits, noise, axis, tau, hard, up)
    value = one_hot(soft, axis) if hard else soft
    if torch_y is not None:
        l, t = logits.clone().requires_grad_(), tau.clone().requires_grad_()
        y = torch_y(l, t)
        (y * up).sum().backward()
        for a, b in [(y.detach(), value), (l.grad, dlogits), (t.grad, dtau)]:
            agree(a, b, 1e3)  # PyTorch's gradient to tau multiplies by logits/tau before it cancels
    return {
        "name": name,
        "shape": list(logits.shape),
        "axis": axis,
        "tau": tau.item(),
        "hard": hard,
        "logits": text(logits),
        "noise": text(noise),
        "upstream": text(up),
        "value": text(value),
        "dlogits": text(dlogits),
        "dtau": None if dtau.isnan() else dtau.item(),
    }


def torch_own(tau, hard, seed):
    """A case whose noise F.gumbel_softmax drew, and whose sample and gradients are its own."""
    logits = normal((4, 5), 2)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        noise = -torch.empty_like(logits).exponential_().log()

    def sample(l, t):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return F.gumbel_softmax(l, tau=t, hard=hard, dim=-1)

    return gumbel_softmax(f"torch tau {tau}", logits, -1, tau, hard, noise, sample)


def mask(logits, axis, keep):
    """logits with all but the first `keep` classes, in a random order, at -inf."""
    order = torch.rand(logits.shape).argsort(axis)
    return logits.masked_fill(order >= keep, -math.inf)


def signs(shape, size):
    """±size at random, with normal numbers where neither is drawn."""
    pick = torch.randint(0, 3, shape)
    big = float32(torch.tensor(size, dtype=torch.float64))
    return torch.where(pick == 0, normal(shape), torch.where(pick == 1, big, -big))


def gumbel_softmax_cases():
    soft_hard = (False, True)
    tau = itertools.cycle(TAUS)
    for (shape, axis), hard in itertools.product(axes(), soft_hard):
        yield gumbel_softmax("axes", normal(shape), axis, next(tau), hard)
    for t, hard in itertools.product(TAUS, soft_hard):
        yield gumbel_softmax(f"tau {t}", normal((2, 3, 4), 2), -1, t, hard)
        yield torch_own(t, hard, seed=int(100 * t))
    for (shape, axis), hard in itertools.product([((3, 4), 1), ((4, 3), 0), ((2, 3, 4), 2), ((2, 4, 3), -2)], soft_hard):
        classes = shape[axis]
        yield gumbel_softmax("masked, some", mask(normal(shape), axis, classes - 1), axis, next(tau), hard)
        yield gumbel_softmax("masked, half", mask(normal(shape), axis, classes // 2 + 1), axis, next(tau), hard)
        yield gumbel_softmax("masked, all but one", mask(normal(shape), axis, 1), axis, next(tau), hard)
    for size, t in itertools.product((255.0, 1e4), TAUS):
        for hard in soft_hard:
            yield gumbel_softmax(f"±{size:g}, tau {t}", signs((2, 2, 4), size), -1, t, hard)
    for t, hard in itertools.product(TAUS, soft_hard):
        l = float32(torch.tensor([[1e30, -1e30, 0, 3], [-1e30, -1e30, -1e30, 1], [-1e30, 5, -1e30, 4]], dtype=torch.float64))
        yield gumbel_softmax(f"±1e+30, tau {t}", l, -1, t, hard)
    for hard in soft_hard:
        l = float32(torch.tensor([[-1e30, 1e30, 1e30, 1e30], [2, 1, 2, 2]], dtype=torch.float64))
        noise = torch.tensor([[-1.5], [0.5]], dtype=torch.float64).expand(2, 4)
        assert lowest_wins(l, noise, -1)
        yield gumbel_softmax("ties", l, -1, 0.5, hard, noise)
    for (shape, axis), hard in itertools.product([((1,), 0), ((3, 1), -1), ((1, 3), 0), ((2,), -1), ((5, 2), 1), ((2, 5), 0)], soft_hard):
        yield gumbel_softmax(f"{shape[axis]} classes", normal(shape, 3), axis, next(tau), hard)
    yield gumbel_softmax("1000 classes", normal((1000,)), -1, 0.5, False)
    yield gumbel_softmax("1000 classes", normal((1000, 1)), 0, 2.0, False)
    yield gumbel_softmax("1000 classes", normal((2, 1, 1000)), -1, 1.0, True)


# Binary cross-entropy.


def bce_with_logits(name, logits, targets):
    x, t = logits.clone().requires_grad_(), targets.clone().requires_grad_()
    up = upstream(logits.shape)
    value = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    (value * up).sum().backward()
    return {
        "name": name,
        "shape": list(logits.shape),
        "logits": text(logits),
        "targets": text(targets),
        "upstream": text(up),
        "value": text(value.detach()),
        "dlogits": text(x.grad),
        "dtargets": text(t.grad),
    }


def bce_with_logits_cases():
    for shape in SHAPES:
        yield bce_with_logits("between", normal(shape, 3), float32(torch.rand(shape, dtype=torch.float64)))
        yield bce_with_logits("0 and 1", normal(shape, 3), torch.randint(0, 2, shape).double())
    positive = [0, 1e-40, 1e-20, 1e-6, 0.5, 5, 20, 88, 104, 700, 1e4]
    logits = float32(torch.tensor([-x for x in positive] + positive, dtype=torch.float64))
    for target in (0.0, 1.0, 0.5, 0.25, 1e-6, 0.999):
        yield bce_with_logits(f"extreme, target {target}", logits, float32(torch.full_like(logits, target)))


# KL divergence.


def kl(q, p, axis):
    p = torch.zeros_like(q) if p is None else p
    return kl_divergence(Categorical(logits=q.movedim(axis, -1)), Categorical(logits=p.movedim(axis, -1)))


def categorical_kl(name, q, p, axis):
    a = q.clone().requires_grad_()
    b = None if p is None else p.clone().requires_grad_()
    value = kl(shifted(a, axis), None if p is None else shifted(b, axis), axis)
    size = max(t[t.isfinite()].abs().max().item() for t in (q, p) if t is not None)
    agree(value.detach(), kl(q, p, axis), size)
    up = upstream(value.shape)
    (value * up).sum().backward()
    return {
        "name": name,
        "shape": list(q.shape),
        "axis": axis,
        "q": text(q),
        "p": None if p is None else text(p),
        "upstream": text(up),
        "value": text(value.detach()),
        "dq": text(a.grad),
        "dp": None if p is None else text(b.grad),
    }


def categorical_kl_cases():
    for shape, axis in axes():
        yield categorical_kl("axes", normal(shape, 2), normal(shape, 2), axis)
        yield categorical_kl("axes, uniform", normal(shape, 2), None, axis)
    for size in (88.0, 255.0, 700.0, 1e4, 1e30):
        for shape, axis in [((6, 4), -1), ((4, 6), 0)]:
            q = signs(shape, size)
            yield categorical_kl(f"±{size:g}", q, normal(shape), axis)
            yield categorical_kl(f"±{size:g}, uniform", q, None, axis)
            yield categorical_kl(f"±{size:g} and its like", q, q + normal(shape), axis)
            if size <= 255:
                yield categorical_kl(f"normal from ±{size:g}", normal(shape), signs(shape, size), axis)
    for (shape, axis), keep in itertools.product([((3, 4), 1), ((4, 3), 0), ((2, 3, 4), -1)], (1, 3)):
        q = mask(normal(shape), axis, keep)
        both = normal(shape).masked_fill(q.isinf(), -math.inf)
        yield categorical_kl(f"{keep} left, p whole", q, normal(shape), axis)
        yield categorical_kl(f"{keep} left in both", q, both, axis)
        yield categorical_kl(f"{keep} left, uniform", q, None, axis)
    for shape, axis in [((1,), 0), ((3, 1), -1), ((2,), 0), ((5, 2), -1)]:
        yield categorical_kl(f"{shape[axis]} classes", normal(shape, 3), normal(shape, 3), axis)
        yield categorical_kl(f"{shape[axis]} classes, uniform", normal(shape, 3), None, axis)
    yield categorical_kl("1000 classes", normal((1000,), 2), normal((1000,), 2), -1)
    yield categorical_kl("1000 classes, uniform", normal((1000, 2), 2), None, 0)


# Perplexity of a mean distribution.


def probabilities(logits, axis, groups):
    """softmax(logits), as (distributions averaged, groups, classes)."""
    if groups is None:
        return logits.movedim(axis, -1).reshape(-1, 1, logits.shape[axis]).softmax(-1)
    return logits.reshape(-1, groups, logits.shape[-1] // groups).softmax(-1)


def perplexity(name, logits, axis, groups=None):
    l = logits.clone().requires_grad_()
    mean = probabilities(l, axis, groups).mean(0)
    value = torch.special.entr(mean).sum(-1).exp()  # entr is -p log p, and 0 for p = 0
    if groups is None:
        value = value.squeeze(0)
    up = upstream(value.shape)
    (value * up).sum().backward()
    return {
        "name": name,
        "shape": list(logits.shape),
        "axis": axis,
        "groups": groups,
        "logits": text(logits),
        "upstream": text(up),
        "value": text(value.detach()),
        "dlogits": text(l.grad),
    }


def perplexity_cases():
    for shape, axis in axes():
        yield perplexity("axes", normal(shape, 2), axis)
    for shape, groups in [((6,), 2), ((3, 8), 2), ((5, 6), 3), ((2, 3, 8), 4), ((2, 2, 3, 10), 2), ((4, 3), 1), ((2, 3), 3)]:
        yield perplexity("groups", normal(shape, 2), -1, groups)
    for size in (88.0, 255.0, 700.0, 1e4, 1e30):
        for shape, axis in [((6, 4), -1), ((4, 6), 0)]:
            yield perplexity(f"±{size:g}", signs(shape, size), axis)
        yield perplexity(f"±{size:g}, groups", signs((6, 8), size), -1, 2)
    for (shape, axis), keep in itertools.product([((3, 4), 1), ((4, 3), 0), ((2, 3, 4), -1)], (1, 3)):
        yield perplexity(f"masked, {keep} left", mask(normal(shape), axis, keep), axis)
    for shape, axis in [((1,), 0), ((3, 1), -1), ((2,), 0), ((5, 2), -1)]:
        yield perplexity(f"{shape[axis]} classes", normal(shape, 3), axis)
    yield perplexity("1000 classes", normal((2, 1000), 2), -1)
    yield perplexity("100 classes, groups", normal((5, 200), 2), -1, 2)
    yield perplexity("a batch of 200", normal((200, 3)), -1)
    yield perplexity("nearly uniform", normal((20, 5), 1 / 16), -1)


# Hard concrete gates.


def logistic(shape):
    """Logistic noise, of numbers that do not depend on the cases above."""
    return float32(torch.rand(shape, dtype=torch.float64, generator=GATES).clamp(1e-12).logit())


def hard_concrete(name, log_alpha, tau, gamma=-0.1, zeta=1.1):
    """One case. Noise is drawn until no rounding can put a gate on the other side of an end."""
    tau = float32(torch.tensor(tau, dtype=torch.float64))
    while True:
        noise = logistic(log_alpha.shape)
        stretched = ((log_alpha + noise) / tau).sigmoid() * (zeta - gamma) + gamma
        if min(stretched.abs().min(), (stretched - 1).abs().min()) > 1e-4:
            break
    up = torch.randint(-16, 17, log_alpha.shape, generator=GATES).double() / 8
    a, t = log_alpha.clone().requires_grad_(), tau.clone().requires_grad_()
    value = (((a + noise) / t).sigmoid() * (zeta - gamma) + gamma).clamp(0, 1)
    (value * up).sum().backward()
    b, s = log_alpha.clone().requires_grad_(), tau.clone().requires_grad_()
    opened = (b - s * math.log(-gamma / zeta)).sigmoid()
    (opened * up).sum().backward()
    return {
        "name": name,
        "shape": list(log_alpha.shape),
        "tau": tau.item(),
        "gamma": gamma,
        "zeta": zeta,
        "logalpha": text(log_alpha),
        "noise": text(noise),
        "upstream": text(up),
        "value": text(value.detach()),
        "dlogalpha": text(a.grad),
        "dtau": t.grad.item(),
        "open": text(opened.detach()),
        "dopen": text(b.grad),
        "dopentau": s.grad.item(),
    }


def hard_concrete_cases():
    def normal(shape, scale):
        return (torch.randn(shape, dtype=torch.float64, generator=GATES) * scale * 64).round() / 64

    for shape, tau in itertools.product(SHAPES, (0.1, 2 / 3, 1.0, 10.0)):
        yield hard_concrete(f"tau {tau:.3g}", normal(shape, 1), tau)
    for gamma, zeta in ((-1.0, 1.5), (-0.001, 1.001), (-5.0, 1.1), (-0.1, 20.0)):
        yield hard_concrete(f"from {gamma} to {zeta}", normal((40,), 2), 2 / 3, gamma, zeta)
    extreme = float32(torch.tensor([-1e4, -104, -88, -20, 0, 20, 88, 104, 1e4], dtype=torch.float64))
    for tau in (0.05, 2 / 3, 20.0):
        yield hard_concrete(f"extreme, tau {tau:.3g}", extreme, tau)


GATES = torch.Generator().manual_seed(20240301)

# Density of Gumbel-softmax samples in log space.


def log_sample(logits, axis, tau):
    """A sample, -inf where masked."""
    return float32(((logits + gumbel(logits.shape)) / tau).log_softmax(axis))


def concrete_log_prob(name, logits, axis, tau, y=None):
    tau = float32(torch.tensor(tau, dtype=torch.float64))
    if y is None:
        y = log_sample(logits, axis, tau)
    l, v, t = (x.clone().requires_grad_() for x in (logits, y, tau))
    rows = zip(shifted(l, axis).movedim(axis, -1).reshape(-1, logits.shape[axis]), v.movedim(axis, -1).reshape(-1, logits.shape[axis]))
    value = torch.stack([ExpRelaxedCategorical(t, logits=a[a.isfinite()], validate_args=False).log_prob(b[a.isfinite()]) for a, b in rows])
    value = value.reshape(logits.movedim(axis, -1).shape[:-1])
    up = upstream(value.shape)
    (value * up).sum().backward()
    return {
        "name": name,
        "shape": list(logits.shape),
        "axis": axis,
        "tau": tau.item(),
        "logits": text(logits),
        "y": text(y),
        "upstream": text(up),
        "value": text(value.detach()),
        "dlogits": text(l.grad),
        "dy": text(v.grad),
        "dtau": t.grad.item(),
    }


def concrete_log_prob_cases():
    torch.manual_seed(20240301)  # no case before changes these
    tau = itertools.cycle(TAUS)
    for shape, axis in axes():
        yield concrete_log_prob("axes", normal(shape, 2), axis, next(tau))
    for t in (0.01, 0.1, 1.0, 10.0, 100.0):
        yield concrete_log_prob(f"tau {t}", normal((2, 3, 4), 2), -1, t)
        logits = normal((3, 4), 2)
        yield concrete_log_prob(f"tau {t}, sample of others", logits, -1, t, log_sample(normal((3, 4), 2), -1, next(tau)))
        yield concrete_log_prob(f"tau {t}, not normalised", logits, -1, t, normal((3, 4), 5))
    for shape, axis in [((3, 4), 1), ((4, 3), 0), ((2, 3, 4), 2), ((2, 4, 3), -2)]:
        for keep in (1, 2, shape[axis] - 1):
            yield concrete_log_prob(f"masked, {keep} left", mask(normal(shape), axis, keep), axis, next(tau))
    for size, t in itertools.product((255.0, 1e4), (0.01, 0.5, 100.0)):
        yield concrete_log_prob(f"±{size:g}, tau {t}", signs((2, 2, 4), size), -1, t)
    for shape, axis in [((1,), 0), ((3, 1), -1), ((2,), -1), ((5, 2), 1), ((2, 5), 0)]:
        yield concrete_log_prob(f"{shape[axis]} classes", normal(shape, 3), axis, next(tau))
    for shape, axis in [((64,), 0), ((2, 65), -1), ((1000,), -1), ((500, 2), 0)]:
        yield concrete_log_prob(f"{shape[axis]} classes", normal(shape), axis, next(tau))


# KL divergence of Bernoulli distributions.


def bernoulli_kl(name, q, p):
    a = q.clone().requires_grad_()
    b = None if p is None else p.clone().requires_grad_()
    value = kl_divergence(Bernoulli(logits=a), Bernoulli(logits=torch.zeros_like(q) if p is None else b))
    up = upstream(q.shape)
    (value * up).sum().backward()
    return {
        "name": name,
        "shape": list(q.shape),
        "q": text(q),
        "p": None if p is None else text(p),
        "upstream": text(up),
        "value": text(value.detach()),
        "dq": text(a.grad),
        "dp": None if p is None else text(b.grad),
    }


def bernoulli_kl_cases():
    torch.manual_seed(1)  # so that the files above may get more cases
    for shape in SHAPES:
        yield bernoulli_kl("normal", normal(shape, 2), normal(shape, 2))
        yield bernoulli_kl("fair coin", normal(shape, 2), None)
        q = normal(shape, 3)
        yield bernoulli_kl("near", q, q + normal(shape) / 16)
        yield bernoulli_kl("the same", q, q)
    sizes = torch.tensor([0, 2.0**-20, 0.25, 1, 2, 5, 12, 20], dtype=torch.float64)
    sizes = torch.cat([sizes, -sizes])
    yield bernoulli_kl("sizes", *(t.contiguous() for t in torch.meshgrid(sizes, sizes, indexing="ij")))
    yield bernoulli_kl("sizes, fair coin", sizes, None)


# Log-density of the relaxed Bernoulli distribution.


def relaxed_bernoulli_log_prob(name, logits, y, tau):
    a, v = logits.clone().requires_grad_(), y.clone().requires_grad_()
    t = float32(torch.tensor(tau, dtype=torch.float64)).requires_grad_()
    value = LogitRelaxedBernoulli(t, logits=a, validate_args=False).log_prob(v)
    up = upstream(logits.shape)
    (value * up).sum().backward()
    return {
        "name": name,
        "shape": list(logits.shape),
        "tau": t.item(),
        "logits": text(logits),
        "y": text(y),
        "upstream": text(up),
        "value": text(value.detach()),
        "dlogits": text(a.grad),
        "dy": text(v.grad),
        "dtau": t.grad.item(),
    }


def relaxed_bernoulli_log_prob_cases():
    torch.manual_seed(2)
    for tau in TAUS:
        for shape in SHAPES:
            yield relaxed_bernoulli_log_prob(f"normal, tau {tau}", normal(shape, 2), normal(shape, 2), tau)
        logits = normal((3, 4), 2)
        noise = torch.rand(logits.shape, dtype=torch.float64).logit()
        yield relaxed_bernoulli_log_prob(f"a sample, tau {tau}", logits, float32((logits + noise) / tau), tau)
    sizes = torch.tensor([0, 2.0**-20, 0.5, 20, 90, 600], dtype=torch.float64)
    sizes = torch.cat([sizes, -sizes])
    y = torch.tensor([-2.0, 0, 1], dtype=torch.float64)
    yield relaxed_bernoulli_log_prob("sizes", *(t.contiguous() for t in torch.meshgrid(sizes, y, indexing="ij")), 0.5)


write("gumbel_softmax.json", gumbel_softmax_cases())
write("bce_with_logits.json", bce_with_logits_cases())
write("categorical_kl.json", categorical_kl_cases())
write("perplexity.json", perplexity_cases())
write("hard_concrete.json", hard_concrete_cases())
write("concrete_log_prob.json", concrete_log_prob_cases())
write("bernoulli_kl.json", bernoulli_kl_cases())
write("relaxed_bernoulli_log_prob.json", relaxed_bernoulli_log_prob_cases())
