"""Peak memory of one training step of document 001's image classifier, 64 images of (64, 64, 3): nblayers and PyTorch.

What is counted is how far the process' resident memory rises above what it holds before the step, when everything is compiled
and loaded. Linux only.
"""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from alternate import environment

BATCH = 64


def data(batch):
    rng = np.random.default_rng(0)
    return rng.random((batch, 64, 64, 3), "f4"), rng.integers(10, size=batch)


def ours():
    from nblayers import layers, models
    model = models.Sequential([
        layers.Input(shape=(64, 64, 3)),
        layers.Conv2D(32, 3, activation="relu", padding="same"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu", padding="same"), layers.MaxPooling2D(2),
        layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return lambda x, y: model.train_on_batch(x, y)


def torchs():
    import torch
    from torch import nn
    torch.set_num_threads(2)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).to(memory_format=torch.channels_last)
    optimizer, loss = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()

    def step(x, y):
        optimizer.zero_grad()
        loss(model(torch.from_numpy(x).permute(0, 3, 1, 2)), torch.from_numpy(y)).backward()
        optimizer.step()
    return step


def status(key):
    """A line of /proc/self/status, in bytes."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)]
    return int(line.split()[1]) * 1024


def peak(make):
    """Bytes by which memory rises in a training step."""
    step = make()
    step(*data(2))
    step(*data(BATCH // 8))                             # both ways through the kernels, serial and parallel, are loaded
    x, y = data(BATCH)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")       # VmHWM starts anew
    step(x, y)
    return status("VmHWM") - before


if __name__ == "__main__":
    contenders = {"nblayers": ours, "torch": torchs}
    if len(sys.argv) > 1:
        print(json.dumps(peak(contenders[sys.argv[1]])))
    else:
        for name in contenders:
            command = [sys.executable, __file__, name]
            output = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
            print(f"{name:<10}{json.loads(output.stdout.splitlines()[-1]) / 2**20:8.0f} MiB above what it held before the step")
