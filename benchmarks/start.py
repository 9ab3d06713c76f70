"""How long a user waits: `import nblayers`, and the first step of a lesson that has run before (wanted: 0.25 s and 2 s)."""
import statistics
import subprocess
import sys
import time

ROUNDS = 7


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, input="q\n", text=True)
    return time.perf_counter() - start


def median(command: list[str]) -> float:
    seconds(command)
    return statistics.median(seconds(command) for _ in range(ROUNDS))


if __name__ == "__main__":
    bare = median([sys.executable, "-c", "pass"])
    print(f"import nblayers          {median([sys.executable, '-c', 'import nblayers']) - bare:.3f} s")
    print(f"import nblayers.layers   {median([sys.executable, '-c', 'import nblayers.layers']) - bare:.3f} s")
