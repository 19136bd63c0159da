#!/usr/bin/env python3
"""Checks the CUDA kernels on a GPU and times them, beside PyTorch if it is installed.

usage: internal/cuda/tool/validate/validate.py [--only WORD] [--no-times] [--minutes N]

It needs Python 3 with numpy and the NVIDIA driver, neither Go nor CUDA's toolkit. It
loads the PTX of this tree through the driver, and launches what internal/plan computes,
which cases.json holds. Noise and hard samples must have the bits of the CPU's, whose
hashes cases.json holds, too. Other results must agree with the formulas in float64. All
of it takes less than five minutes.

--only checks the cases whose name contains WORD, and --no-times leaves out the large
ones, which are timed. PyTorch gets what is left of --minutes. LIBCUDA names another
library than libcuda.so.1.
"""

import argparse
import ctypes
import hashlib
import json
import os
import statistics
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
PTX = os.path.join(HERE, "..", "..")
TYPES = {"f32": np.float32, "f64": np.float64, "i64": np.int64}


class Driver:
    """The functions of the driver by name. An error ends the program."""

    def __init__(self):
        name = os.environ.get("LIBCUDA", "libcuda.so.1")
        try:
            self.library = ctypes.CDLL(name)
        except OSError as e:
            sys.exit("validate: the NVIDIA driver is not installed: %s" % e)
        self("cuInit", 0)
        self.device = self.get(ctypes.c_int, "cuDeviceGet", 0)
        # PyTorch uses the primary context, too, and stream 0 is its default stream.
        context = self.get(ctypes.c_void_p, "cuDevicePrimaryCtxRetain", self.device)
        self("cuCtxSetCurrent", ctypes.c_void_p(context))

    def __call__(self, name, *args):
        code = getattr(self.library, name)(*args)
        if code != 0:
            error = ctypes.c_char_p()
            self.library.cuGetErrorName(code, ctypes.byref(error))
            sys.exit("validate: %s: error %d, %s" % (name, code, (error.value or b"unknown").decode()))

    def get(self, kind, name, *args):
        """Calls a function whose first argument is the address of its result."""
        value = kind()
        self(name, ctypes.byref(value), *args)
        return value.value

    def describe(self):
        name = ctypes.create_string_buffer(100)
        self("cuDeviceGetName", name, 100, self.device)
        major, minor, processors = (self.get(ctypes.c_int, "cuDeviceGetAttribute", a, self.device) for a in (75, 76, 16))
        version = self.get(ctypes.c_int, "cuDriverGetVersion")
        return "%s, capability %d.%d, %d multiprocessors, driver of CUDA %d.%d" % (
            name.value.decode(), major, minor, processors, version // 1000, version % 1000 // 10)

    def milliseconds(self, step, seconds=0.2):
        """Returns the median over five batches of the time per step, without waiting in between."""
        start, end = (ctypes.c_void_p(self.get(ctypes.c_void_p, "cuEventCreate", 0)) for _ in range(2))

        def batch(n):
            self("cuEventRecord", start, None)
            for _ in range(n):
                step()
            self("cuEventRecord", end, None)
            self("cuEventSynchronize", end)
            return self.get(ctypes.c_float, "cuEventElapsedTime", start, end) / n

        batch(1)
        n = max(1, min(2000, int(seconds * 1000 / 5 / max(batch(2), 0.001))))
        return statistics.median(batch(n) for _ in range(5))


class Kernels:
    """The kernels by module.function."""

    def __init__(self, driver):
        self.driver, self.modules, self.functions = driver, {}, {}
        for family in ("sample", "loss", "linear"):
            with open(os.path.join(PTX, family + ".ptx"), "rb") as f:
                text = f.read() + b"\0"
            began = time.perf_counter()
            module = driver.get(ctypes.c_void_p, "cuModuleLoadDataEx", text, 0, None, None)
            self.modules["gumbel_" + family] = ctypes.c_void_p(module)
            print("%s.ptx loads in %.2f s" % (family, time.perf_counter() - began))

    def __getitem__(self, name):
        if name not in self.functions:
            module, function = name.split(".")
            self.functions[name] = ctypes.c_void_p(
                self.driver.get(ctypes.c_void_p, "cuModuleGetFunction", self.modules[module], function.encode()))
        return self.functions[name]


def filled(array, sizes):
    """Returns the elements of an array of cases.json: cases/main.go describes Fill."""
    fill, i = array["Fill"], np.arange(array["Length"], dtype=np.uint32)
    if "Scale" in fill:
        h = i * np.uint32(2654435761) + np.uint32(fill.get("Seed", 0) * 2246822519 % 2**32)
        h ^= h >> np.uint32(15)
        h *= np.uint32(2246822519)
        x = ((h >> np.uint32(16)) / 65536 - 0.5) * fill["Scale"]
    else:
        x = fill.get("Value", 0) + i * np.float64(fill.get("Step", 0))
    if "Mask" in fill:
        classes = i // sizes["inner"] % sizes["classes"]
        x[(i % fill["Mask"] == fill["Mask"] - 1) & (classes > 0)] = -np.inf
    if "NaN" in fill:
        x[fill["NaN"]] = np.nan
    return x.astype(TYPES[array["Type"]])


class Case:
    """A case of cases.json on the device."""

    def __init__(self, driver, kernels, case):
        self.driver, self.case, self.sizes = driver, case, case["Sizes"]
        self.arrays, self.addresses, self.launches = {}, {}, []
        for a in case["Arrays"]:
            size = a["Length"] * np.dtype(TYPES[a["Type"]]).itemsize
            address = driver.get(ctypes.c_uint64, "cuMemAlloc_v2", ctypes.c_size_t(size))
            self.arrays[a["Name"]], self.addresses[a["Name"]] = a, address
            if "Fill" in a:
                x = filled(a, self.sizes)
                driver("cuMemcpyHtoD_v2", ctypes.c_uint64(address), x.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(size))
            else:
                driver("cuMemsetD8_v2", ctypes.c_uint64(address), ctypes.c_ubyte(0xA5), ctypes.c_size_t(size))
        for l in case["Launches"]:
            words = [self.addresses[p[1:]] if p[0] == "@" else int(p, 16) for p in l["Params"]]
            values = (ctypes.c_uint64 * len(words))(*words)
            pointers = (ctypes.c_void_p * len(words))(*(ctypes.addressof(values) + 8 * i for i in range(len(words))))
            call = (kernels[l["Kernel"]], l["Blocks"], 1, 1, l["Threads"], 1, 1, l["Shared"], None, pointers, None)
            self.launches.append((l["Name"], call, values))  # values must live as long as the pointers

    def run(self, *names):
        """Launches the kernels of some names, or all."""
        for name, call, _ in self.launches:
            if not names or name in names:
                self.driver("cuLaunchKernel", *call)

    def __getitem__(self, name):
        """Returns the elements of an array."""
        a = self.arrays[name]
        x = np.empty(a["Length"], TYPES[a["Type"]])
        self.driver("cuMemcpyDtoH_v2", x.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(self.addresses[name]), ctypes.c_size_t(x.nbytes))
        return x

    def wide(self, name):
        return self[name].astype(np.float64)

    def single(self):
        return any(a["Type"] == "f32" for a in self.arrays.values())

    def close(self):
        for address in self.addresses.values():
            self.driver("cuMemFree_v2", ctypes.c_uint64(address))


class Report:
    """What the checks of all cases have found."""

    def __init__(self):
        self.checks, self.failed, self.worst = 0, 0, 0.0

    def expect(self, case, what, good, detail=""):
        self.checks += 1
        if not good:
            self.failed += 1
            print("FAILED %s: %s %s" % (case.case["Name"], what, detail))

    def near(self, case, what, got, want, allowed):
        """Expects got to be within the allowed error of want."""
        error = np.abs(got.astype(np.float64) - want)
        good = error <= allowed
        detail = ""
        if good.all():
            self.worst = max(self.worst, float(np.max(error / np.maximum(allowed, 1e-300), initial=0)))
        else:
            i = np.flatnonzero(~good)[0]
            detail = "has %d elements off, the first is %d: %r, want %r within %.2g" % (
                (~good).sum(), i, got.flat[i], want.flat[i], np.broadcast_to(allowed, want.shape).flat[i])
        self.expect(case, what, good.all(), detail)

    def status(self, case, want):
        got = case["status"][0] & 0xFFFFFFFF
        self.expect(case, "status", got == want, "is %d, want %d" % (got, want))


def check_noise(case, report):
    pass  # its hash is all there is to check


def check_refused(case, report):
    report.status(case, 1)


def check_sample(case, report):
    outer, classes, inner = (case.sizes[k] for k in ("outer", "classes", "inner"))
    shaped = {k: case[k].reshape(outer, classes, inner) for k in ("logits", "noise", "grad", "hard", "soft", "gradient")}
    tau, total, allowed = float(case["tau"][0]), 0.0, 0.0
    step = max(1, (1 << 22) // (classes * inner))  # keeps the arrays of the large cases small
    for first in range(0, outer, step):
        part = {k: x[first:first + step] for k, x in shaped.items()}
        sum_, off = check_distributions(case, report, part, tau)
        total, allowed = total + sum_, allowed + off
    got = case["tau_gradient"]
    case.run("tau_gradient")
    report.expect(case, "tau_gradient", got == case["tau_gradient"], "differs in a second run")
    report.near(case, "tau_gradient", got, np.array([total]), np.array([allowed]))
    report.status(case, 0)


def check_distributions(case, report, x, tau):
    """Checks some distributions, and returns their part of the gradient to tau and its error.

    A sample y may have an error of accuracy·(8 + |log y|)·y. The errors of the gradients follow from
    that and some roundings."""
    accuracy, least = (2.0**-23, 2.0**-149) if case.single() else (2.0**-50, 2.0**-1000)
    # Sums of float32 are exact in float64, unless they are far apart. Those of float64 need more.
    s = x["logits"].astype(np.longdouble) + x["noise"].astype(np.longdouble)
    first = np.argmax(s, axis=1, keepdims=True)
    one_hot = np.arange(s.shape[1])[None, :, None] == first
    report.expect(case, "hard", np.array_equal(x["hard"], one_hot), "is not the one-hot of the greatest sum")

    d = ((s - s.max(axis=1, keepdims=True)) / tau).astype(np.float64)
    e = np.exp(d)
    y = e / e.sum(axis=1, keepdims=True)
    log = d - np.log(e.sum(axis=1, keepdims=True))
    log[y == 0] = 0
    unit = accuracy * (8 + np.abs(log))
    report.near(case, "soft", x["soft"], y, unit * y + least)

    g = x["grad"].astype(np.float64)
    mean, size = ((y * v).sum(axis=1, keepdims=True) for v in (g, np.abs(g)))
    mean_error = ((unit + accuracy) * y * np.abs(g)).sum(axis=1, keepdims=True)
    want = y * (g - mean) / tau
    error = y * ((unit + 4 * accuracy) * (np.abs(g) + size) + mean_error) / tau
    report.near(case, "gradient", x["gradient"], want, error + least * (1 + (1 + np.abs(g) + size) / tau))
    masked = np.isneginf(x["logits"])
    report.expect(case, "gradient", not x["gradient"][masked].any(), "of a masked class is not 0")
    return -(log * want).sum(), ((1 + np.abs(log)) * error + least).sum()


def epsilon(case):
    return 2.0**-23 if case.single() else 2.0**-52


def check_bce(case, report):
    x, z, g = (case.wide(k) for k in ("logits", "targets", "grad"))
    e = 8 * epsilon(case)
    report.near(case, "loss", case["loss"], np.maximum(x, 0) - x * z + np.log1p(np.exp(-np.abs(x))), e * (1 + np.abs(x) * (1 + np.abs(z))))
    report.near(case, "to_logits", case["to_logits"], (1 / (1 + np.exp(-x)) - z) * g, e * (1 + np.abs(z)) * np.abs(g))
    report.near(case, "to_targets", case["to_targets"], -x * g, e * np.abs(x * g))
    report.status(case, 0)


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def check_kl(case, report):
    outer, classes, inner = (case.sizes[k] for k in ("outer", "classes", "inner"))
    shape = (outer, classes, inner)
    lq = log_softmax(case.wide("q").reshape(shape))
    uniform = "p" not in case.arrays
    lp = np.full(shape, -np.log(classes)) if uniform else log_softmax(case.wide("p").reshape(shape))
    q, p = np.exp(lq), np.exp(lp)
    ratio = np.subtract(lq, lp, out=np.zeros(shape), where=q > 0)
    kl = (q * ratio).sum(axis=1, keepdims=True)
    g = case.wide("grad").reshape(outer, 1, inner)
    wants = {"kl": kl, "to_q": g * q * (ratio - kl)}
    if not uniform:
        wants["to_p"] = g * (p - q)
    for name, want in wants.items():
        # Terms as large as the difference of the logits cancel in float64, and the result is rounded once.
        report.near(case, name, case[name].reshape(want.shape), want, epsilon(case) * np.abs(want) + 2.0**-44)
    report.status(case, 0)


ACTIVATIONS = [  # each with its derivative, given z and act(z)
    (lambda z: z, lambda z, y: np.ones_like(z)),
    (lambda z: np.maximum(z, 0), lambda z, y: (z > 0) * 1.0),
    (np.tanh, lambda z, y: 1 - y * y),
    (lambda z: 1 / (1 + np.exp(-z)), lambda z, y: y * (1 - y)),
]


def check_linear(case, report):
    batch, in_, out = (case.sizes[k] for k in ("batch", "in", "out"))
    x, w, b, g = (case.wide(k).reshape(s) for k, s in (("x", (batch, in_)), ("w", (in_, out)), ("b", (1, out)), ("grad", (batch, out))))
    e = epsilon(case)

    def product(a, b):
        """Returns the product and the error of one that is summed in the type of the case."""
        return a @ b, e * a.shape[1] * (np.abs(a) @ np.abs(b))

    z, off = product(x, w)
    z, off = z + b, off + e * np.abs(z + b)
    act, derivative = ACTIVATIONS[case.sizes["activation"]]
    y = act(z)
    report.near(case, "y", case["y"].reshape(y.shape), y, off + 4 * e * np.abs(y))
    slope = derivative(z, y)
    got = case["to_z"].reshape(z.shape)
    kink = (case.sizes["activation"] == 1) & (np.abs(z) <= off)  # of ReLU, which may have either derivative there
    slope = np.where(kink, got != 0, slope)
    report.near(case, "to_z", got, g * slope, np.abs(g) * (off + 8 * e))
    for name, (want, off) in {"to_x": product(g, w.T), "to_w": product(x.T, g), "to_b": product(np.ones((1, batch)), g)}.items():
        report.near(case, name, case[name].reshape(want.shape), want, off)


CHECKS = {"noise": check_noise, "refused": check_refused, "sample": check_sample, "bce": check_bce, "kl": check_kl, "linear": check_linear}


def check(case, report):
    case.run()
    case.driver("cuCtxSynchronize")
    for name, want in case.case.get("Hashes", {}).items():
        report.expect(case, name, hashlib.sha256(case[name].tobytes()).hexdigest() == want, "has other bits than the CPU's")
    CHECKS[case.case["Kind"]](case, report)


# The launches of each pass, and the bytes per element of one that reads its input once.
PASSES = {
    "noise": (["noise"], 4),
    "soft forward": (["soft"], 8),
    "hard forward": (["hard"], 8),
    "gradient": (["gradient"], 12),
    "soft backward": (["soft", "gradient"], 20),
    "hard backward": (["hard", "gradient"], 20),
}


def times(driver, case):
    """Prints and returns the milliseconds of each pass."""
    rows, classes = case.sizes["outer"], case.sizes["classes"]
    measured = {}
    for name, (launches, size) in PASSES.items():
        ms = measured[name] = driver.milliseconds(lambda: case.run(*launches))
        n = rows * classes
        print("    %-14s %5d×%-5d %9.4f ms %8.4f ns per element %6.0f GB/s" % (name, rows, classes, ms, ms * 1e6 / n, size * n / ms / 1e6), flush=True)
    return measured


def copy_speed(driver):
    """Returns the GB/s that a copy on the device reads and writes."""
    size = 256 << 20
    a, b = (driver.get(ctypes.c_uint64, "cuMemAlloc_v2", ctypes.c_size_t(size)) for _ in range(2))
    ms = driver.milliseconds(lambda: driver("cuMemcpyDtoDAsync_v2", ctypes.c_uint64(a), ctypes.c_uint64(b), ctypes.c_size_t(size), None))
    for address in (a, b):
        driver("cuMemFree_v2", ctypes.c_uint64(address))
    return 2 * size / ms / 1e6


def beside_torch(driver, ours, deadline):
    """Times PyTorch's gumbel_softmax, eager and compiled, until the deadline."""
    try:
        import torch
        from torch.nn.functional import gumbel_softmax
    except ImportError:
        return print("PyTorch is not installed")
    if not torch.cuda.is_available():
        return print("PyTorch finds no GPU")
    print("PyTorch", torch.__version__)
    for how in ("eager", "compiled"):
        for (rows, classes), measured in ours.items():
            logits = torch.randn(rows, classes, device="cuda")
            upstream, leaf = torch.randn_like(logits), logits.clone().requires_grad_()
            for kind in ("soft", "hard"):
                if time.monotonic() > deadline:
                    return print("PyTorch: no time left")
                sample = lambda x, hard=kind == "hard": gumbel_softmax(x, tau=0.7, hard=hard)
                if how == "compiled":
                    sample = torch.compile(sample, dynamic=False)

                def backward():
                    leaf.grad = None
                    sample(leaf).backward(upstream)

                for direction, step in (("forward", lambda: sample(logits)), ("backward", backward)):
                    ms = driver.milliseconds(step)
                    name = kind + " " + direction
                    print("    %-8s %-14s %5d×%-5d %9.4f ms, %5.2f times ours" % (how, name, rows, classes, ms, ms / measured[name]), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Checks the CUDA kernels on a GPU and times them.")
    parser.add_argument("--only", default="", metavar="WORD", help="check the cases whose name contains WORD")
    parser.add_argument("--no-times", action="store_true", help="leave out the large cases, which are timed")
    parser.add_argument("--minutes", type=float, default=5, metavar="N", help="the time after which PyTorch is stopped (5)")
    args = parser.parse_args()
    began = time.monotonic()
    driver = Driver()
    print(driver.describe())
    kernels = Kernels(driver)
    with open(os.path.join(HERE, "cases.json"), encoding="utf-8") as f:
        cases = [c for c in json.load(f) if args.only in c["Name"] and not (args.no_times and c.get("Timed"))]
    if not cases:
        sys.exit("validate: no case has %r in its name" % args.only)
    report, ours = Report(), {}
    if not args.no_times:
        print("a copy on the device: %.0f GB/s" % copy_speed(driver))
    for c in cases:
        case = Case(driver, kernels, c)
        check(case, report)
        if c.get("Timed"):
            ours[case.sizes["outer"], case.sizes["classes"]] = times(driver, case)
        case.close()
    if ours:
        beside_torch(driver, ours, began + 60 * args.minutes - 30)
    print("%d cases, %d checks, %d failed. The largest error is %.2f of the allowed one. %.0f s" % (
        len(cases), report.checks, report.failed, report.worst, time.monotonic() - began))
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
