"""A batch normalisation in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 17 (nblayers learn normalization) derives it, term by term and in one line. New here: images, and the layer in use.

    nblayers check batch_norm my_batch_norm.py        the gradient checker looks at your backward
    nblayers train batch_norm my_batch_norm.py        your layer learns to read digits
"""
import numpy as np

from nblayers.layers.base import Layer, Record


class Cache(Record):
    """What backward needs. C features; whatever axes lie before them are one large batch."""

    x_hat: np.ndarray           # (N, …, C), normalised
    std: np.ndarray             # (C,), the root of variance + epsilon: of the batch, or the moving one
    training: bool              # whether mean and variance were those of the batch


class MyBatchNorm(Layer):
    """y = gamma x_hat + beta, x_hat = (x - mean) / sqrt(variance + epsilon), over all axes but the last."""

    def __init__(self, momentum=0.99, epsilon=1e-3, gamma_initializer="ones", **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.gamma_initializer = gamma_initializer

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gamma = self.add_weight(shape, initializer=self.gamma_initializer, name="gamma")
        self.beta = self.add_weight(shape, initializer="zeros", name="beta")
        self.moving_mean = self.add_weight(shape, initializer="zeros", trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(shape, initializer="ones", trainable=False, name="moving_variance")

    def forward(self, x, training=False):
        """x (N, …, C) -> y, of the same shape."""
        axes = tuple(range(x.ndim - 1))
        if training:
            mean = x.mean(axis=axes)
            variance = ((x - mean) ** 2).mean(axis=axes)
            for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.value[:] = self.momentum * moving.value + (1 - self.momentum) * new
        else:
            mean, variance = self.moving_mean.value, self.moving_variance.value
        std = np.sqrt(variance + self.epsilon).astype(x.dtype)
        x_hat = (x - mean) / std
        self.cache = Cache(x_hat, std, training)
        return self.gamma.value * x_hat + self.beta.value

    def backward(self, dy):
        """dy, of the shape of y -> dx, of the same shape."""
        x_hat, std = self.cache.x_hat, self.cache.std  # given
        axes = tuple(range(dy.ndim - 1))  # given
        # > Read forward from its last line to its first:
        # >   1. self.beta.grad and self.gamma.grad (C,): in which samples and places do they stand? Add to them, with +=.
        # >   2. dx_hat, of the shape of x: with which factor does it stand in y?
        # >   3. In use (self.cache.training is False) mean and std are constants. What is dx then? Return it.
        # >   4. In training x reaches x_hat by two more ways. What has to be taken off dx_hat, before it is divided?
        # >> 1. dbeta is the sum of dy over `axes`, dgamma that of dy x_hat
        self.beta.grad += dy.sum(axis=axes)
        self.gamma.grad += (dy * x_hat).sum(axis=axes)
        # >> 2. dx_hat = dy gamma
        dx_hat = dy * self.gamma.value
        # >> 3. in use dx = dx_hat / std
        if not self.cache.training:
            return dx_hat / std
        # >> 4. dx = (dx_hat − its mean over `axes` − x_hat times the mean of dx_hat x_hat) / std, in training
        shift = dx_hat.mean(axis=axes)
        along = (dx_hat * x_hat).mean(axis=axes)
        return (dx_hat - shift - x_hat * along) / std


# %% the workshop
from nblayers.initializers import RandomUniform
from nblayers.layers import BatchNormalization, Dense
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import Case, normal
from nblayers.learn.workshop.tasks import Digits

LESSON = "17_normalization"
LAYER = MyBatchNorm
PARTS = ()
SCALED = {"gamma_initializer": RandomUniform(0.5, 2.0)}


def in_training(*shape):
    """One input of this shape, normally distributed, in training."""
    return lambda rng: ((rng.normal(size=shape),), {"training": True})


CASES = [
    Case("in use: one sample, one feature", SCALED, normal(1, 1)),
    Case("in use: three samples, two features", SCALED, normal(3, 2)),
    Case("in training: four samples, one feature", SCALED, in_training(4, 1)),
    Case("in training: five samples, three features", SCALED, in_training(5, 3)),
    Case("in training: as many samples as features", SCALED, in_training(4, 4)),
    Case("in training: sequences", SCALED, in_training(3, 4, 2)),
    Case("in training: images, a large epsilon", {**SCALED, "epsilon": 0.1}, in_training(2, 3, 4, 2)),
]
TASK = Digits(lambda layer: [Dense(32), layer(momentum=0.9), "relu", Dense(32), layer(momentum=0.9), "relu",
                             Dense(32), layer(momentum=0.9), "relu", "dense"], flat=True, softmax=True)
DONE = """You have written the backward of a batch normalisation, in training and in use: the layer in which each output
depends on the whole batch. Three of yours have helped a network to read digits."""


def library(layer):
    return BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon)


def random_weights(rng, layer):
    """Any numbers, but the moving variance is positive."""
    gamma, beta, mean, variance = (rng.normal(size=weight.shape) for weight in layer.weights)
    return [gamma, beta, mean, variance ** 2]


BUGS = [
    Bug([("        if not self.cache.training:\n            return dx_hat / std\n", "        return dx_hat / std\n")],
        "in training too mean and variance are taken for constants: what x does to them is missing",
        "It learns much worse: after 200 batches its loss is 1.126, the right layer's 0.06888."),
    Bug([("(dx_hat - shift - x_hat * along) / std", "(dx_hat - shift) / std")],
        "the part along x_hat is not taken off: the way through the variance is missing",
        "It learns, a little worse: after 200 batches its loss is 0.1143, the right layer's 0.06888."),
    Bug([("shift = dx_hat.mean(axis=axes)\n", "shift = dx_hat.sum(axis=axes)\n"),
         ("along = (dx_hat * x_hat).mean(axis=axes)", "along = (dx_hat * x_hat).sum(axis=axes)")],
        "sums stand in the place of means: both should be divided by the size of the batch",
        "It does not learn: after 200 batches its loss is 1.979, the right layer's 0.06888."),
    Bug([("        if not self.cache.training:\n            return dx_hat / std\n", "")],
        "in use mean and variance are constants, but here dx is that of training",
        "In training it does not show at all: there the layer is never in use. It shows where a layer is frozen."),
    Bug([("along = (dx_hat * x_hat).mean(axis=axes)", "along = (dy * x_hat).mean(axis=axes)")],
        "gamma is missing from one of the two means; as it begins with 1, nothing shows at first",
        "It learns all the same: after 200 batches its loss is 0.06849, the right layer's 0.06888."),
    Bug([("self.gamma.grad += (dy * x_hat).sum(axis=axes)", "self.gamma.grad += (dx_hat * x_hat).sum(axis=axes)"),
         ("        self.gamma.grad += (dx_hat * x_hat).sum(axis=axes)\n        dx_hat = dy * self.gamma.value\n",
          "        dx_hat = dy * self.gamma.value\n        self.gamma.grad += (dx_hat * x_hat).sum(axis=axes)\n")],
        "gamma's gradient is made with dx_hat, so it is multiplied by gamma itself; it should be made with dy",
        "It learns all the same: after 200 batches its loss is 0.06575, the right layer's 0.06888."),
    Bug([("variance = ((x - mean) ** 2).mean(axis=axes)",
          "variance = ((x - mean) ** 2).sum(axis=axes) / (x[..., 0].size - 1)"),
         ("along = (dx_hat * x_hat).mean(axis=axes)", "along = (dx_hat * x_hat).sum(axis=axes) / (dy[..., 0].size - 1)")],
        "the variance is divided by N - 1, forward and backward: the gradient is right, so no gradient check can see "
        "it; Keras normalises with N (PyTorch too: only its moving variance has N - 1)",
        "It learns all the same: after 200 batches its loss is 0.06746, the right layer's 0.06888."),
]
