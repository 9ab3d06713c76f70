"""The data of the lessons: nothing is downloaded."""
import numpy as np


# lesson 03
def two_moons(samples, noise, rng):
    """Points on two half circles that hook into each other, and which one each is on.

    Returns points (samples, 2) and kinds (samples,), 0 and 1 in turn.
    """
    kind = np.arange(samples) % 2
    angle = rng.uniform(0, np.pi, samples)
    side = 1 - 2 * kind                                 # 1 for the upper, -1 for the lower
    points = np.stack([side * np.cos(angle) + kind,
                       side * np.sin(angle) + 0.5 * kind], axis=1)
    return points + rng.normal(scale=noise, size=points.shape), kind
