"""Losses found by name, by configuration or as they are."""
import inspect
from functools import cache
from typing import Any

from nblayers import losses, serialization
from nblayers.losses.loss import Loss, LossFunctionWrapper
from nblayers.serialization import lookup, names


@cache
def _objects() -> dict[str, Any]:
    """All losses, classes and functions, by their names."""
    public = [getattr(losses, name) for name in dir(losses)]
    classes = [each for each in public if inspect.isclass(each) and issubclass(each, Loss) and each is not Loss]
    functions = [each for each in public if hasattr(each, "loss")]
    return names(*classes, *functions, mse=losses.mean_squared_error, mae=losses.mean_absolute_error,
                 bce=losses.binary_crossentropy, mape=losses.mean_absolute_percentage_error,
                 msle=losses.mean_squared_logarithmic_error, kld=losses.kl_divergence, logcosh=losses.log_cosh,
                 kullback_leibler_divergence=losses.kl_divergence)


def get(identifier: Any) -> Loss | None:
    """A loss from its name ("mse", "binary_crossentropy"), a function, a configuration, a class, or itself; None from None.

    A function becomes a loss that is the mean of its values. (Keras gives the function back; its `compile` does the rest.)

    Raises:
        ValueError: no such loss.
        TypeError: something else.
    """
    found = lookup(identifier, _objects(), "loss")
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", None)
    return found.loss(name=name) if hasattr(found, "loss") else LossFunctionWrapper(found, name=name)


def serialize(loss: Any) -> dict[str, Any]:
    """The loss, or a function, as Keras' dictionary, from which `deserialize` makes it again."""
    return serialization.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make a loss from {"class_name": …, "config": …}, or find a function.

    Raises:
        ValueError: no such loss.
    """
    return lookup(name, _objects(), "loss", custom_objects)
