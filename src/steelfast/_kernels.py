"""Picks the build of the kernels for this processor.

The processor is asked once. `STEELFAST_ISA` forces a build by name; a module built for more than the processor has
is never imported.
"""

import os
from importlib import import_module
from importlib.util import find_spec

from steelfast._processor import compiler, x86_64_level

# name of a build -> level of the x86-64 psABI that it needs, and the module that holds it; the best one last
_BUILDS = {
    "baseline": (0, "steelfast._isa.baseline"),
    "x86-64-v3": (3, "steelfast._isa.x86_64_v3"),
    "x86-64-v4": (4, "steelfast._isa.x86_64_v4"),
}


def available_isas() -> tuple[str, ...]:
    """The builds of the kernels that are installed and that this processor can run, the best one last.

    Returns
    -------
    tuple of str
        Out of "baseline", "x86-64-v3" and "x86-64-v4".

    Examples
    --------
    >>> import steelfast
    >>> steelfast.available_isas()[0]
    'baseline'
    """
    level = x86_64_level()
    return tuple(
        name
        for name, (needed, package) in _BUILDS.items()
        if level >= needed and find_spec(f"{package}._softmax") is not None
    )


def _chosen() -> str:
    available = available_isas()
    forced = os.environ.get("STEELFAST_ISA")
    if not forced:
        return available[-1]
    if forced not in available:
        raise ImportError(
            f"STEELFAST_ISA must name a build that is installed and that this processor can run, "
            f"one of {', '.join(available)}; got {forced!r}"
        )
    return forced


ISA = _chosen()
COMPILER = compiler

_package = _BUILDS[ISA][1]
_softmax = import_module(f"{_package}._softmax")
_losses = import_module(f"{_package}._losses")
_linear = import_module(f"{_package}._linear")
_updates = import_module(f"{_package}._updates")
_layers = import_module(f"{_package}._layers")

softmax = _softmax.softmax
log_softmax = _softmax.log_softmax
logsumexp = _softmax.logsumexp
softmax_jacobian = _softmax.softmax_jacobian
softmax_vjp = _softmax.softmax_vjp
sigmoid = _softmax.sigmoid
log_sigmoid = _softmax.log_sigmoid

softmax_cross_entropy = _losses.softmax_cross_entropy
softmax_cross_entropy_grad = _losses.softmax_cross_entropy_grad
softmax_cross_entropy_value_and_grad = _losses.softmax_cross_entropy_value_and_grad
sigmoid_cross_entropy = _losses.sigmoid_cross_entropy
sigmoid_cross_entropy_grad = _losses.sigmoid_cross_entropy_grad
sigmoid_cross_entropy_value_and_grad = _losses.sigmoid_cross_entropy_value_and_grad
sigmoid_mse = _losses.sigmoid_mse
sigmoid_mse_grad = _losses.sigmoid_mse_grad
sigmoid_mse_value_and_grad = _losses.sigmoid_mse_value_and_grad
mse = _losses.mse
mse_grad = _losses.mse_grad
cross_entropy = _losses.cross_entropy
entropy = _losses.entropy
kl_divergence = _losses.kl_divergence

train_linear_epochs = _linear.train_linear_epochs
linear_loss_and_grad = _linear.linear_loss_and_grad
differentiate_logits = _linear.differentiate_logits
is_plain_table = _linear.is_plain_table
linear_logits = _linear.linear_logits
first_maxima = _linear.first_maxima
shuffle = _linear.shuffle

ACTIVATIONS = _layers.ACTIVATIONS
activate = _layers.activate
activate_grad = _layers.activate_grad

KINDS = _updates.KINDS
update = _updates.update
