"""Optimizers as in Keras 3; a kernel call updates one parameter.

    optimizer = Adam(learning_rate=1e-3, clipnorm=1.0)
    ...                                             # forward and backward have filled every parameter.grad
    optimizer.step(model.trainable_weights)

`schedules` change the learning rate from step to step.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
