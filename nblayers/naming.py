"""Names of classes: in snake_case, and in errors that name the class which the user wrote."""
import functools
import re
from collections.abc import Callable
from typing import Any


class NamesItself:
    """The base of classes made with many arguments: a TypeError about one names the class called, not a parent of it.

    `AveragePooling2D()` has its `__init__` from `SlidingPooling`, and Python would name that one.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _named(vars(cls)["__init__"])        # type: ignore[method-assign]


def _named(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError as error:
            found = re.match(r"(?:.*\.)?(\w+)\.__init__\(\) ", str(error))
            own = type(self).__name__
            if found is None or found[1] == own or found[1] not in [parent.__name__ for parent in type(self).__mro__]:
                raise
            raise TypeError(f"{own}.__init__() {str(error)[found.end():]}") from None
    return __init__


def snake_case(class_name: str) -> str:
    """The name of a class as Keras writes it: "conv2d", "batch_normalization", "p_re_lu"."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
