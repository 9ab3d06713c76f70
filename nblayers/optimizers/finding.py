"""Optimizers found by name or configuration."""
from typing import Any

from nblayers import serialization
from nblayers.optimizers.adafactor import Adafactor
from nblayers.optimizers.adagrad import Adadelta, Adagrad
from nblayers.optimizers.adam import Adam, AdamW
from nblayers.optimizers.adamax import Adamax
from nblayers.optimizers.base import Optimizer
from nblayers.optimizers.ftrl import Ftrl
from nblayers.optimizers.lamb import Lamb
from nblayers.optimizers.lion import Lion
from nblayers.optimizers.loss_scale import LossScaleOptimizer
from nblayers.optimizers.multi import MultiOptimizer
from nblayers.optimizers.muon import Muon
from nblayers.optimizers.nadam import Nadam
from nblayers.optimizers.rmsprop import RMSprop
from nblayers.optimizers.schedule_free import ScheduleFreeAdamW
from nblayers.optimizers.sgd import SGD
from nblayers.serialization import lookup, names

_OBJECTS = names(SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam, Adafactor, Lion, Lamb, Ftrl, Muon,
                 ScheduleFreeAdamW, LossScaleOptimizer, MultiOptimizer)


def get(identifier: Any) -> Optimizer | None:
    """An optimizer from its name in any case ("adam"), its configuration, its class, or itself; None from None.

    Raises:
        ValueError: no such optimizer.
        TypeError: something else.
    """
    return _checked(lookup(identifier, _OBJECTS, "optimizer"))


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer as Keras' dictionary, from which `deserialize` makes it again (without its state)."""
    return serialization.serialize(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer | None:
    """Make an optimizer from {"class_name": …, "config": …}.

    Raises:
        ValueError: no such class.
    """
    return _checked(lookup(config, _OBJECTS, "optimizer", custom_objects))


def _checked(found: Any) -> Optimizer | None:
    if found is None or isinstance(found, Optimizer):
        return found
    raise TypeError(f"expected an optimizer (a name, a configuration or an object), got {found!r}")
