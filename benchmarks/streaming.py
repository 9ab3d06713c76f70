"""One step of one sequence, the state handed on: recurrent layers of 128 units, nblayers against PyTorch without gradients."""
import numpy as np
from alternate import Cases, compare

UNITS, FEATURES, OUTPUTS = 128, 16, 4
LAYERS = ("LSTM", "GRU", "SimpleRNN")
STEPS = 20                  # in one run: the clock and the call of a run do not count


def step() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, 1, FEATURES)).astype("f4")


def ours() -> Cases:
    from nblayers import layers, models
    x = step()

    def case(called):
        def run():
            for _ in range(STEPS):
                called(x)
        return run

    def model(*more):
        first = layers.Input(batch_shape=(1, 1, FEATURES))
        return models.Sequential([first, layers.LSTM(UNITS, stateful=True), *more])
    return {**{name: case(getattr(layers, name)(UNITS, stateful=True)) for name in LAYERS},
            "Sequential LSTM": case(model()), "Sequential LSTM, Dense": case(model(layers.Dense(OUTPUTS)))}


def torchs() -> Cases:
    import torch
    torch.set_num_threads(2)
    x = torch.from_numpy(step())

    def case(name, head=None):
        layer = getattr(torch.nn, {"SimpleRNN": "RNN"}.get(name, name))(FEATURES, UNITS, batch_first=True)
        state = None

        def run():
            nonlocal state
            with torch.no_grad():
                for _ in range(STEPS):
                    y, state = layer(x, state)
                    if head is not None:
                        head(y[:, -1])
        return run
    return {**{name: case(name) for name in LAYERS},
            "Sequential LSTM": case("LSTM"), "Sequential LSTM, Dense": case("LSTM", torch.nn.Linear(UNITS, OUTPUTS))}


if __name__ == "__main__":
    compare(f"{STEPS} steps of one sequence, {UNITS} units", {"nblayers": ours, "torch": torchs}, target=4.0)
