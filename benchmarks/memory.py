"""Peak memory of one step, nblayers and PyTorch: document 001's image classifier on 64 images, attention on long sequences.

What is counted is how far the process' resident memory rises above what it holds before the step, when everything is compiled
and loaded. That of attention grows with the length, not with its square. Linux only.
"""
import json
import subprocess
import sys
from pathlib import Path

import attention
import numpy as np
from alternate import environment, options, show

BATCH = 64
TITLE = "peak memory of a step, MiB above what the process held before"


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


def rise(run):
    """Bytes by which memory rises in a run."""
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")       # VmHWM starts anew
    run()
    return status("VmHWM") - before


def classifier(make):
    step = make()
    step(*data(2))
    step(*data(BATCH // 8))                             # both ways through the kernels, serial and parallel, are loaded
    x, y = data(BATCH)
    return rise(lambda: step(x, y))


def attending(steps):
    def peak(make):
        make(256)()
        return rise(make(steps))
    return peak


CASES = {f"image classifier, {BATCH} of (64, 64, 3)": (classifier, {"nblayers": ours, "torch": torchs})}
CASES |= {f"attention, {steps} steps": (attending(steps), {"nblayers": attention.our_step, "torch": attention.torchs_step})
          for steps in attention.LENGTHS}


def in_a_new_process(case, contender):
    """MiB by which memory rises there."""
    command = [sys.executable, __file__, "--rise", case, contender]
    output = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1]) / 2**20


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rise"]:
        peak, makes = CASES[sys.argv[2]]
        print(json.dumps(peak(makes[sys.argv[3]])))
    else:
        arguments = options(TITLE).parse_args()
        found = {case: [in_a_new_process(case, name) for name in makes] for case, (_, makes) in CASES.items()
                 if arguments.only in case}
        show(TITLE, ["", "nblayers", "torch", "torch / nblayers"],
             [[case, f"{mine:.0f}", f"{theirs:.0f}", f"{theirs / mine:.2f}"] for case, (mine, theirs) in found.items()],
             arguments.json)
