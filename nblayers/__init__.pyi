from . import (
    activations as activations,
    backend as backend,
    callbacks as callbacks,
    config as config,
    constraints as constraints,
    distributed as distributed,
    initializers as initializers,
    layers as layers,
    losses as losses,
    metrics as metrics,
    models as models,
    nn as nn,
    optim as optim,
    optimizers as optimizers,
    preprocessing as preprocessing,
    regularizers as regularizers,
    saving as saving,
    utils as utils,
)
from .devices import device as device, get_device as get_device, set_device as set_device
from .gradient_check import gradcheck as gradcheck
from .layers import Input as Input, InputSpec as InputSpec, Layer as Layer
from .learn.trace import trace as trace
from .models import Model as Model, Sequential as Sequential
from .parameter import Parameter as Parameter

__version__: str
