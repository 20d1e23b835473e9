"""Every public name in use, with the types that a user's type checker sees.

mypy reads this file, and `test_types.py` runs it: what `assert_type` claims must be so.
"""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import steelfast
from steelfast import optimizers, reference, schedules, textbook
from steelfast.datasets import SteelPlates
from steelfast.optimizers import Optimizer, Plan

Single = NDArray[np.float32]
Double = NDArray[np.float64]
Floating = NDArray[np.floating]

single = np.array([[2.0, 1.0, -1.0], [0.5, 2.5, 0.0]], np.float32)
double = single.astype(np.float64)
rows = [[2.0, 1.0, -1.0], [0.5, 2.5, 0.0]]
labels = np.array([0, 1])

# ---- softmax and its kin: the dtype is kept

assert_type(steelfast.softmax(single), Single)
assert_type(steelfast.softmax(double, axis=0), Double)
assert_type(steelfast.softmax(rows, np.int64(0)), Floating)
assert_type(steelfast.softmax(single, out=np.empty_like(single)), Single)
assert_type(steelfast.log_softmax(single), Single)
assert_type(steelfast.log_softmax(rows), Floating)
assert_type(steelfast.logsumexp(single), Any)
assert_type(steelfast.logsumexp(single, keepdims=True), Single)
assert_type(steelfast.logsumexp(rows, axis=0, keepdims=True), Floating)
probs = steelfast.softmax(single)
assert_type(steelfast.softmax_jacobian(probs), Single)
assert_type(steelfast.softmax_jacobian([[0.5, 0.5]]), Floating)
assert_type(steelfast.softmax_vjp(probs, single), Single)
assert_type(steelfast.softmax_vjp(probs, double), Floating)

# ---- element by element: a number gives a number

assert_type(steelfast.sigmoid(single), Single)
assert_type(steelfast.sigmoid(single, out=single.copy()), Single)
assert_type(steelfast.sigmoid(np.float32(1)), np.float32)
assert_type(steelfast.sigmoid(1.0), np.float64)
assert_type(steelfast.sigmoid(rows), Any)
assert_type(steelfast.log_sigmoid(double), Double)
assert_type(steelfast.log_sigmoid(0), np.float64)

# ---- losses: reduced they are numbers of the logits' dtype

assert_type(steelfast.softmax_cross_entropy(single, labels), np.float32)
assert_type(steelfast.softmax_cross_entropy(double, [0, 1], reduction="sum", ignore_index=-1), np.float64)
assert_type(steelfast.softmax_cross_entropy(single, probs, reduction="none", sample_weight=[1, 2]), Single)
assert_type(steelfast.softmax_cross_entropy(rows, labels), np.floating)
assert_type(steelfast.softmax_cross_entropy(rows, labels, reduction="none"), Floating)
assert_type(steelfast.softmax_cross_entropy_grad(single, labels, label_smoothing=0.1), Single)
assert_type(steelfast.softmax_cross_entropy_grad(rows, labels, class_weight=[1, 2, 3]), Floating)
assert_type(steelfast.softmax_cross_entropy_value_and_grad(single, labels), tuple[np.float32, Single])
assert_type(steelfast.softmax_cross_entropy_value_and_grad(single, labels, reduction="none"), tuple[Single, Single])
assert_type(steelfast.softmax_cross_entropy_value_and_grad(rows, labels), tuple[np.floating, Floating])

assert_type(steelfast.sigmoid_cross_entropy(single, probs, pos_weight=2.0), np.float32)
assert_type(steelfast.sigmoid_cross_entropy(rows, rows, reduction="none"), Any)
assert_type(steelfast.sigmoid_cross_entropy_grad(single, probs), Single)
assert_type(steelfast.sigmoid_cross_entropy_value_and_grad(single, probs), tuple[np.float32, Single])
assert_type(steelfast.sigmoid_mse(double, probs, reduction="none"), Double)
assert_type(steelfast.sigmoid_mse_grad(double, probs), Double)
assert_type(steelfast.sigmoid_mse_value_and_grad(double, probs, reduction="none"), tuple[Double, Double])
assert_type(steelfast.mse(single, single), np.float32)
assert_type(steelfast.mse(1, 3), np.floating)
assert_type(steelfast.mse_grad(single, single, reduction="sum"), Single)

assert_type(steelfast.cross_entropy(probs, probs, axis=0, base=2, eps=1e-10), Any)
assert_type(steelfast.entropy(probs, base=2), Any)
assert_type(steelfast.kl_divergence(probs, probs), Any)

# ---- what is built on them

steps: list[Optimizer] = [optimizers.SGD(), optimizers.Momentum(), optimizers.RMSProp(), optimizers.Adam(beta2=0.99)]
for step in steps:
    step.update(double, np.ones_like(double))
    assert_type(step.begin(double, 10), Plan)
assert_type(schedules.Cosine(0.1, n_steps=10)(3), float)
assert_type(schedules.OneCycle(0.1, n_steps=10)(np.arange(10)), Double)
assert_type(optimizers.SGD(schedules.Step(0.1, 10), weight_decay=0.01), optimizers.SGD)
optimizers.Momentum(lambda step: 0.1 / (1 + step), nesterov=True)
assert_type(textbook.relu(rows), NDArray[Any])
assert_type(textbook.eval_accuracy(double, double), float)
assert_type(reference.softmax(double), Any)

plates = steelfast.load_steel_plates(source="twin")
assert_type(plates, SteelPlates)
X, y = steelfast.load_steel_plates(source="twin", return_X_y=True)
assert_type(X, Double)
assert_type(y, NDArray[np.int64])
assert_type(steelfast.loss_and_grad(X, y, np.zeros((7, 27)), np.zeros(7)), tuple[float, NDArray[Any], NDArray[Any]])
classifier = steelfast.SteelClassifier(max_epochs=1, random_state=0).fit(X, y)
assert_type(classifier, steelfast.SteelClassifier)
assert_type(classifier.predict_proba(X[:2]), NDArray[Any])
fetch = steelfast.fetch_steel_plates  # not here: it asks the network

assert_type(steelfast.available_isas(), tuple[str, ...])
assert_type(steelfast.__version__, str)
steelfast.show_config()
assert_type(steelfast.get_include(), str)
