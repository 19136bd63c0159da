"""Trains the model of examples/vae-categorical in PyTorch on MNIST: the figures that BENCHMARKS.md holds ours to.

usage: python3 bench/train_torch.py soft|hard STEPS SEED grey|bin FOLDER     (FOLDER holds MNIST's four .gz files)
784-512-256-(30x10) and its mirror, ReLU between and none on the logits, Xavier-uniform weights, zero biases,
Adam 1e-3 times 0.9 every 1000 steps, batch 100, tau = max(exp(-3e-5 t), 0.5) every 1000 steps, uniform prior, analytic KL.
"""
import gzip
import math
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)
mode, steps, seed, pixels, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
N, K, B = 30, 10, 100


def images(name):
    raw = gzip.open(folder + "/" + name).read()
    return torch.tensor(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255)


train, test = images("train-images-idx3-ubyte.gz"), images("t10k-images-idx3-ubyte.gz")
torch.manual_seed(seed)
if pixels == "bin":
    train, test = torch.bernoulli(train), torch.bernoulli(test)
encoder = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, N * K))
decoder = nn.Sequential(nn.Linear(N * K, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784))
for layer in [*encoder, *decoder]:
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)


def negative_elbo(x, tau, hard):
    logits = encoder(x).view(-1, N, K)
    z = F.gumbel_softmax(logits, tau=tau, hard=hard)
    reconstruction = F.binary_cross_entropy_with_logits(decoder(z.reshape(-1, N * K)), x, reduction="sum") / len(x)
    log_q = F.log_softmax(logits, -1)
    return reconstruction, (log_q.exp() * (log_q + math.log(K))).sum() / len(x)


history, tau, start = [], 1.0, time.time()
for i in range(steps):
    if i % 600 == 0:
        order = torch.randperm(60000)
    if i % 1000 == 0:
        tau = max(math.exp(-3e-5 * i), 0.5)
    for group in adam.param_groups:
        group["lr"] = 1e-3 * 0.9 ** (i // 1000)
    x = train[order[i % 600 * B : (i % 600 + 1) * B]]
    adam.zero_grad()
    reconstruction, kl = negative_elbo(x, tau, mode == "hard")
    (reconstruction + kl).backward()
    adam.step()
    history.append((reconstruction + kl).item())
    if (i + 1) % 1000 == 0:
        print(i + 1, "train -ELBO over 500 steps %.2f, KL %.2f, %.0f s" % (np.mean(history[-500:]), kl.item(), time.time() - start), flush=True)
with torch.no_grad():
    score = lambda hard: np.mean([sum(negative_elbo(test[i : i + 1000], tau, hard)).item() for i in range(0, 10000, 1000)])
    print("test -ELBO discrete %.2f, soft %.2f" % (score(True), score(False)))
