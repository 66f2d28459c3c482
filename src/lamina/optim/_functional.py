"""PyTorch's functional forms of the optimizers, under one name."""

from lamina.optim.adadelta import adadelta
from lamina.optim.adagrad import adagrad
from lamina.optim.adam import adam
from lamina.optim.adamax import adamax
from lamina.optim.adamw import adamw
from lamina.optim.asgd import asgd
from lamina.optim.nadam import nadam
from lamina.optim.radam import radam
from lamina.optim.rmsprop import rmsprop
from lamina.optim.rprop import rprop
from lamina.optim.sgd import sgd
from lamina.optim.sparse_adam import sparse_adam

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "asgd",
    "nadam",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
    "sparse_adam",
]
