"""Activation functions as PyTorch writes them."""
from nblayers.layers import Activation, Layer


def ReLU() -> Layer:
    """`layers.Activation("relu")`."""
    return Activation("relu")


def Sigmoid() -> Layer:
    """`layers.Activation("sigmoid")`."""
    return Activation("sigmoid")


def Tanh() -> Layer:
    """`layers.Activation("tanh")`."""
    return Activation("tanh")
