"""How long a user waits: for `import nblayers`, and for the first `fit` of a process, with and without compiled kernels.

"Cold" is the first run on a machine, with an empty cache of kernels; "warm" any later one. Keras compiles in every process.
"""
import statistics
import subprocess
import sys
import tempfile
import time

from alternate import environment
from others import KERAS

ROUNDS, COLD_ROUNDS = 5, 3
NETWORKS = {                                            # the layers, the shape of x, and the seconds that are wanted cold
    "Dense": ("[L.Dense(64, activation='relu')]", (256, 20), 2),
    "LSTM": ("[L.LSTM(64)]", (256, 20, 8), 4),
    "GRU": ("[L.GRU(64)]", (256, 20, 8), 4),
    "CNN": ("[L.Conv2D(16, 3, activation='relu'), L.MaxPooling2D(), L.Conv2D(32, 3, activation='relu'), L.MaxPooling2D(), "
            "L.Flatten()]", (256, 28, 28, 1), 8),
    "ConvLSTM2D": ("[L.ConvLSTM2D(8, 3), L.GlobalAveragePooling2D()]", (32, 4, 16, 16, 1), 8),
}
WARM = 0.3
PROGRAM = """
import time
import numpy as np
from PACKAGE import layers as L, models

rng = np.random.default_rng(0)
x, y = rng.normal(size=SHAPE).astype("float32"), rng.integers(0, 10, SHAPE[0])
start = time.perf_counter()
model = models.Sequential([*LAYERS, L.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
model.fit(x, y, epochs=1, batch_size=32, verbose=0)
print(time.perf_counter() - start)
"""


def import_seconds(module: str) -> float:
    """What importing adds to a process that does nothing."""
    def seconds(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start
    rounds = [(seconds(f"import {module}"), seconds("pass")) for _ in range(ROUNDS + 1)]
    return statistics.median(whole - bare for whole, bare in rounds[1:])


def first_fit(package: str, layers: str, shape: tuple[int, ...], **variables: str) -> float:
    """Seconds of the first fit in a process of its own, behind the imports."""
    program = PROGRAM.replace("PACKAGE", package).replace("LAYERS", layers).replace("SHAPE", str(shape))
    return float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True,
                                env=environment(**variables)).stdout)


def cold_and_warm(layers: str, shape: tuple[int, ...]) -> tuple[float, float]:
    cold, warm = [], []
    for _ in range(COLD_ROUNDS):
        with tempfile.TemporaryDirectory() as empty:
            cold.append(first_fit("nblayers", layers, shape, NUMBA_CACHE_DIR=empty))
            warm += [first_fit("nblayers", layers, shape, NUMBA_CACHE_DIR=empty) for _ in range(2)]
    return statistics.median(cold), statistics.median(warm)


if __name__ == "__main__":
    for module in ("nblayers", "nblayers.layers"):
        print(f"import {module:16} {import_seconds(module):.3f} s")
    print(f"\nfirst fit, seconds {'cold':>8} {'wanted':>8} {'warm':>8} {'wanted':>8}", *(f"{name:>17}" for name in KERAS))
    for name, (layers, shape, wanted) in NETWORKS.items():
        cold, warm = cold_and_warm(layers, shape)
        others = [statistics.median(first_fit("keras", layers, shape, **keras) for _ in range(COLD_ROUNDS))
                  for keras in KERAS.values()]
        print(f"{name:18} {cold:8.2f} {wanted:8.1f} {warm:8.2f} {WARM:8.1f}", *(f"{each:17.2f}" for each in others), flush=True)
