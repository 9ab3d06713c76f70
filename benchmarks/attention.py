"""Attention on long sequences, 8 heads of 32, batch 1, forward and backward: our kernel and PyTorch's.

JAX's makes the whole matrix of scores, which is 2 GB of the longer case, and is left out. `memory.py` says what a step takes.
"""
import numpy as np
from alternate import Cases, compare
from others import later

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


def each(of) -> dict:
    """What a function of the length and whether it is causal gives, for each case."""
    return {f"{steps} steps{', causal' * causal}": of(steps, causal) for steps in LENGTHS for causal in (False, True)}


def cases(step) -> Cases:
    return each(lambda steps, causal: later(lambda: step(steps, causal)))


def work(steps: int, causal: bool) -> tuple[float, str]:
    """Two products forward and four backward; causal ones need half of them."""
    return 12 * HEADS * SIZE * steps**2 / (2 if causal else 1), "Gflop"


if __name__ == "__main__":
    compare("attention, 8 heads of 32", {"nblayers": lambda: cases(our_step), "torch": lambda: cases(torchs_step)}, target=1.0,
            rounds=3, work=each(work))
