r"""Losses as in Keras 3, each with its gradient written by hand.

    value = loss(y_true, y_pred)
    dy_pred = loss.gradient(y_true, y_pred)
    value, dy_pred = loss.value_and_gradient(y_true, y_pred)        # both in one pass

A loss is made of two steps. Its own formula gives a value v_i for every sample (and time step), from the targets t and the
predictions p; the reduction weighs the values and sums them up:

    L = \sum_i c_i v_i                      (R1)
    c_i = w_i / N                           (R2)   w: sample_weight, 1 without; N: see `Loss`
    dv_i = \partial L / \partial v_i = c_i  (R3)   what `backward` starts from

A loss of your own is a function of (y_true, y_pred) with an attribute `gradient`, or a class:

    class Quartic(Loss):
        def call(self, y_true, y_pred):             # a value for every sample
            return ((y_pred - y_true) ** 4).mean(axis=-1)

        def gradient(self, y_true, y_pred):         # the derivative of `call`, in the shape of y_pred
            return 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
