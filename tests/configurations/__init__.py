"""Random configurations of right layers, in which the gradient checker is to find nothing wrong.

    python -m tests.configurations --count 2000 --seconds 600        # every failure, with the code that repeats it
    python -m tests.configurations --first 17 --count 1              # configuration 17, which is always the same

A generator draws what one kind of layer may be given: the options that change the mathematics, shapes with sizes of one,
inputs with zeros, ties, equal rows, tiny and large numbers. It writes the layer as code, so that a failure can be shown.
"""
from typing import Any, NamedTuple

import numpy as np

import nblayers
from nblayers import random as nblayers_random
from nblayers.gradient_check import Report
from nblayers.layers import base

from . import (  # noqa: F401     each adds its generators
    activation,
    attention,
    convolution,
    core,
    encoding,
    merging,
    networks,
    normalization,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    torch_names,
)
from .drawing import GENERATORS, NAMESPACE, Draw, Setup, evaluate

NAMESPACE["networks"] = networks
SEED = 14


class Configuration(NamedTuple):
    """One layer with its inputs.

    Attributes:
        number: the seed of its draws.
        name: of the generator: "layers.Dense".
        setup: what was drawn.
    """

    number: int
    name: str
    setup: Setup

    def make(self) -> Any:
        """The layer, with the same weights each time."""
        start_afresh(self.number)
        return evaluate(self.setup.layer)

    def check(self, **options: Any) -> Report:
        setup, layer = self.setup, self.make()
        return nblayers.gradcheck(layer, *setup.inputs, raise_error=False, **setup.tolerance, **setup.call, **options)

    def code(self) -> str:
        """A program that repeats the check."""
        setup = self.setup
        arguments = [setup.layer, *map(written, setup.inputs), *(f"{k}={v}" for k, v in setup.tolerance.items()),
                     *(f"{name}={written(value)}" for name, value in setup.call.items())]
        imports = "import numpy as np\nimport nblayers\nfrom nblayers import layers, nn\nfrom nblayers.random import set_seed\n"
        imports += "from tests.configurations import networks\n" if self.name.startswith("networks.") else ""
        return f"{imports}set_seed({self.number})\nprint(nblayers.gradcheck({', '.join(arguments)}))"


def configuration(number: int) -> Configuration:
    """Configuration `number`: each generator in turn."""
    return of_generator(list(GENERATORS)[number % len(GENERATORS)], number)


def of_generator(name: str, number: int) -> Configuration:
    """Configuration `number` of this generator."""
    start_afresh(number)
    return Configuration(number, name, GENERATORS[name](Draw(np.random.default_rng([SEED, number])), name))


def start_afresh(number: int) -> None:
    """The same random numbers and names, whatever was made before."""
    base.clear_names()
    nblayers_random.set_seed(number)


def written(value: Any) -> str:
    """Arrays and lists of them as code."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    if not isinstance(value, np.ndarray):
        return repr(value)
    return f"np.array({value.tolist()!r}{', bool' if value.dtype == bool else ''}).reshape({value.shape})"


def is_right(report: Report) -> bool:
    """Nothing is wrong, or nothing found but that there is nothing to check: a layer of words has no gradient."""
    findings = getattr(report, "findings", [])
    return report.passed or (bool(findings) and all(finding.kind == "nothing_checked" for finding in findings))
