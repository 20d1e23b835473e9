"""steelfast: softmax, cross-entropy, sigmoid-MSE and their gradients on a CPU, fast and right to the last digits.

The kernels are here, as functions of NumPy arrays; so is `SteelClassifier`, which learns with them to name the fault
of a steel plate, and `load_steel_plates`, which brings the plates. What needs more than NumPy loads when it is
first used.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from steelfast._kernels import (
    available_isas,
    cross_entropy,
    entropy,
    kl_divergence,
    log_sigmoid,
    log_softmax,
    logsumexp,
    mse,
    mse_grad,
    sigmoid,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_grad,
    sigmoid_cross_entropy_value_and_grad,
    sigmoid_mse,
    sigmoid_mse_grad,
    sigmoid_mse_value_and_grad,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_cross_entropy_value_and_grad,
    softmax_jacobian,
    softmax_vjp,
)
from steelfast._version import __version__

if TYPE_CHECKING:
    from steelfast import optimizers, reference, schedules, textbook
    from steelfast._configuration import get_include, show_config
    from steelfast.datasets import fetch_steel_plates, load_steel_plates
    from steelfast.estimator import SteelClassifier
    from steelfast.objective import loss_and_grad

__all__ = [
    "SteelClassifier",
    "__version__",
    "available_isas",
    "cross_entropy",
    "entropy",
    "fetch_steel_plates",
    "get_include",
    "kl_divergence",
    "load_steel_plates",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "loss_and_grad",
    "mse",
    "mse_grad",
    "optimizers",
    "reference",
    "schedules",
    "show_config",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sigmoid_cross_entropy_grad",
    "sigmoid_cross_entropy_value_and_grad",
    "sigmoid_mse",
    "sigmoid_mse_grad",
    "sigmoid_mse_value_and_grad",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "softmax_cross_entropy_value_and_grad",
    "softmax_jacobian",
    "softmax_vjp",
    "textbook",
]

# loaded when first asked for: name -> module that has it, or the module itself
_LAZY = {
    "SteelClassifier": "steelfast.estimator",
    "fetch_steel_plates": "steelfast.datasets",
    "get_include": "steelfast._configuration",
    "load_steel_plates": "steelfast.datasets",
    "loss_and_grad": "steelfast.objective",
    "optimizers": None,
    "reference": None,
    "schedules": None,
    "show_config": "steelfast._configuration",
    "textbook": None,
}


if not TYPE_CHECKING:  # where a misspelt name is an error

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'steelfast' has no attribute {name!r}")
        home = _LAZY[name]
        value = import_module(f"steelfast.{name}") if home is None else getattr(import_module(home), name)
        globals()[name] = value
        return value

    if find_spec("sklearn") is None:  # a star, help() and inspect ask for all that is listed
        __all__.remove("SteelClassifier")


def __dir__() -> list[str]:
    return __all__
