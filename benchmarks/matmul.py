"""The CPU room's matrix product against NumPy's (OpenBLAS), float32."""
import math

import numpy as np
from alternate import Cases, compare

SIZES = [(64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (128, 784, 256)]             # M, K, N


def repeats(M, K, N):
    """How often a product is computed: a small one is over before the clock has ticked."""
    return max(1, 20_000_000 // (M * K * N))


def cases(product) -> Cases:
    rng = np.random.default_rng(0)

    def case(M, K, N):
        a, b = rng.normal(size=(M, K)).astype("f4"), rng.normal(size=(K, N)).astype("f4")
        c = np.empty((M, N), "f4")

        def run():
            for _ in range(repeats(M, K, N)):
                product(a, b, c)
        return run
    return {str(size): case(*size) for size in SIZES}


def ours() -> Cases:
    import kernels
    matmul = kernels.get("cpu").matmul.matmul
    return cases(lambda a, b, c: matmul(a, b, False, False, False, c))


def numpys() -> Cases:
    return cases(lambda a, b, c: np.matmul(a, b, out=c))


if __name__ == "__main__":
    compare("matrix product (M, K, N)", {"nblayers": ours, "numpy": numpys}, target=1.0,
            work={str(size): (2 * math.prod(size) * repeats(*size), "Gflop") for size in SIZES})
