"""Attention on long sequences, 8 heads of 32, batch 1, forward and backward: our kernel and PyTorch's.

Also by how much a process' memory rises in a step, at two lengths: it grows with the length, not with its square.
"""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from alternate import Cases, compare, environment
from memory import status

LENGTHS = (2048, 8192)
HEADS, SIZE = 8, 32


def arrays(steps: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).normal(size=(1, steps, HEADS, SIZE)).astype("f4") for seed in range(4)]


def our_step(steps: int, causal: bool = False):
    from nblayers import layers
    from nblayers.layers.attention import product
    from nblayers.layers.attention.masks import Masks, band, no_mask
    from nblayers.layers.dropping import draw
    from nblayers.random import SeedGenerator
    layer = layers.MultiHeadAttention(HEADS, SIZE)
    q, k, v, dy = arrays(steps)
    masks = Masks(no_mask(layer, 2), no_mask(layer, 2), no_mask(layer, 4), *band(steps, steps, causal, None))
    drop = draw(layer, 0, SeedGenerator())

    def run():
        attended = product.attend(layer, q, k, v, masks, SIZE**-0.5, False, drop)
        product.attend_backward(layer, attended, dy)
    return run


def torchs_step(steps: int, causal: bool = False):
    import torch
    torch.set_num_threads(2)
    q, k, v, dy = (torch.from_numpy(array).transpose(1, 2).contiguous() for array in arrays(steps))
    q, k, v = (each.requires_grad_() for each in (q, k, v))

    def run():
        q.grad = k.grad = v.grad = None
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal).backward(dy)
    return run


def cases(step) -> Cases:
    return {f"{steps} steps{', causal' * causal}": step(steps, causal) for steps in LENGTHS for causal in (False, True)}


def rise(step, steps: int) -> int:
    """Bytes by which memory rises in a step."""
    step(256)()
    run = step(steps)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")       # VmHWM starts anew
    run()
    return status("VmHWM") - before


STEPS = {"nblayers": our_step, "torch": torchs_step}

if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print(json.dumps(rise(STEPS[sys.argv[2]], int(sys.argv[3]))))
        sys.exit()
    compare("attention, 8 heads of 32", {"nblayers": lambda: cases(our_step), "torch": lambda: cases(torchs_step)}, target=1.0,
            rounds=3)
    if "--contender" not in sys.argv:
        for name in STEPS:
            for steps in LENGTHS:
                command = [sys.executable, __file__, "memory", name, str(steps)]
                output = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
                risen = json.loads(output.stdout.splitlines()[-1])
                print(f"{name:<10}{steps:6} steps{risen / 2**20:8.1f} MiB above what it held before")
