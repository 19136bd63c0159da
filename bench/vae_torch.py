"""Times one training step of the example's model in PyTorch.

usage: python3 vae_torch.py [threads] [batch]

The model is that of examples/vae-categorical: 784-512-256-(30x10) and its
mirror, soft samples, Adam. The batch is made up: a fifth of the pixels are 1.
bench/step runs this beside the example.
"""
import math
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
B = int(sys.argv[2]) if len(sys.argv) > 2 else 100
N, K = 30, 10
encoder = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, N * K))
decoder = nn.Sequential(nn.Linear(N * K, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784))
adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
x = (torch.rand(B, 784) > 0.8).float()


def step():
    adam.zero_grad()
    logits = encoder(x).view(B, N, K)
    z = F.gumbel_softmax(logits, tau=0.9)
    reconstruction = F.binary_cross_entropy_with_logits(decoder(z.view(B, N * K)), x, reduction="sum") / B
    log_q = F.log_softmax(logits, -1)
    kl = (log_q.exp() * (log_q + math.log(K))).sum() / B
    (reconstruction + kl).backward()
    adam.step()


for _ in range(5):
    step()
times = []
for _ in range(60):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
times.sort()
print("threads %s batch %d: median %.2f ms/step, best %.2f" % (torch.get_num_threads(), B, times[30] * 1e3, times[0] * 1e3))
