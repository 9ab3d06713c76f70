"""The gradient check in pytest: a fixture `gradcheck` that takes what `nblayers.gradcheck` takes, and options for all checks.

    def test_my_layer(gradcheck):
        gradcheck(MyLayer(4), x)                # or an object of any class, or f, backward, x

    pytest --gradcheck-rtol 1e-5 --gradcheck-html reports
"""
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradcheck", "gradient checks (nblayers)")
    group.addoption("--gradcheck-seed", type=int, metavar="N", help="seed of the random numbers of every gradient check")
    group.addoption("--gradcheck-rtol", type=float, metavar="R", help="relative tolerance of every gradient check")
    group.addoption("--gradcheck-max-coordinates", type=int, metavar="N", help="how many elements of a tensor are compared")
    group.addoption("--gradcheck-html", metavar="DIR", help="write the report of every gradient check there, as a page each")


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Checks gradients with the options of the command line; fails the test with the report.

    Takes what `nblayers.gradcheck` takes for a Layer, what `gradcheck_object` takes for an object of another class, and what
    `gradcheck_pair` takes for two functions. Returns the report. A test's own options go before those of the command line.
    """
    from nblayers.gradient_check import GradientCheckError, anyone
    given = {name: request.config.getoption(f"gradcheck_{name}") for name in ("seed", "rtol", "max_coordinates")}
    options = {name: value for name, value in given.items() if value is not None}
    folder = request.config.getoption("gradcheck_html")
    written: list[Path] = []

    def check(thing: Any, /, *arguments: Any, raise_error: bool = True, **named: Any) -> Any:
        __tracebackhide__ = True
        report = anyone.check(thing, *arguments, raise_error=False, **options | named)
        if folder is not None:
            number = f"-{len(written) + 1}" if written else ""
            written.append(Path(folder) / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', request.node.nodeid).strip('-')}{number}.html")
            report.to_html(written[-1])
        if raise_error and not report:
            raise GradientCheckError(report)
        return report
    return check
