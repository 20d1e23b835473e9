"""Losses of one's own in a training loop of one's own, on the kernels: `python examples/custom_loss.py`.

Two ways to a loss that steelfast does not have, with its exact gradient:

- a function of the cross-entropy, here the focal loss (Lin et al., "Focal loss for dense object detection", 2017):
  `softmax_cross_entropy_value_and_grad` gives each row's cross-entropy and its gradient, the rest is the chain rule;
- a function of the probabilities, here the expected cost of a mistake, which is added to the cross-entropy:
  `softmax_vjp` takes its gradient from the probabilities back to the logits, without the Jacobian.

Each gradient is first compared with finite differences. Then a linear model is trained with each loss in minibatches,
and tested on plates held out: on the table that STEELFAST_DATA names, or on the synthetic twin.
"""

import os

import numpy as np
from sklearn.model_selection import train_test_split

import steelfast

GAMMA = 2.0  # of the focal loss: how little the plates count that are right already
SCRATCHES = ("Z_Scratch", "K_Scatch")
SCRATCH_COST = 5.0  # of a scratch that is taken for another fault; made up, any other mistake costs 1
COST_WEIGHT = 3.0  # of the expected cost beside the cross-entropy; alone it is flat where a model is surely wrong


def cross_entropy(logits, labels):
    return steelfast.softmax_cross_entropy_value_and_grad(logits, labels)


def focal_loss(logits, labels):
    """Mean of (1 − p)^γ · ce, where p is the label's probability and ce = −log p."""
    ce, ce_grad = steelfast.softmax_cross_entropy_value_and_grad(logits, labels, reduction="none")
    p, q = np.exp(-ce), -np.expm1(-ce)  # q = 1 − p, right to the last digits where p is nearly 1
    slope = q**GAMMA + GAMMA * q ** (GAMMA - 1) * p * ce  # of the focal loss by ce
    return np.mean(q**GAMMA * ce), slope[:, np.newaxis] * ce_grad / len(ce)


def cost_sensitive(logits, labels):
    """Cross-entropy, and the mean of Σ p_k · cost[label, k]: what mistakes cost if p says how often they are made."""
    value, grad = cross_entropy(logits, labels)
    probs, row_costs = steelfast.softmax(logits), cost[labels]
    value += COST_WEIGHT * np.mean(np.sum(probs * row_costs, axis=1))
    return value, grad + COST_WEIGHT / len(labels) * steelfast.softmax_vjp(probs, row_costs)


def gradient_error(loss, n_rows=5, n_classes=7, step=1e-5):
    """The largest difference between the gradient and central differences, relative to the largest entry."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 2, (n_rows, n_classes)), rng.integers(n_classes, size=n_rows)
    differences = np.empty_like(logits)
    for entry in np.ndindex(logits.shape):
        at = np.zeros_like(logits)
        at[entry] = step
        differences[entry] = (loss(logits + at, labels)[0] - loss(logits - at, labels)[0]) / (2 * step)
    return np.abs(loss(logits, labels)[1] - differences).max() / np.abs(differences).max()


def train(loss, X, labels, n_classes, n_epochs=60, batch_size=128):
    """Weights and bias of a linear model, and the mean loss of each epoch's minibatches."""
    rng = np.random.default_rng(0)
    weights, bias = np.zeros((X.shape[1], n_classes)), np.zeros(n_classes)
    # an optimiser has the memory of one parameter
    for_weights, for_bias = steelfast.optimizers.Adam(0.01), steelfast.optimizers.Adam(0.01)
    history = []
    for _ in range(n_epochs):
        losses = []
        for batch in np.array_split(rng.permutation(len(X)), -(-len(X) // batch_size)):
            value, grad = loss(X[batch] @ weights + bias, labels[batch])
            for_weights.update(weights, X[batch].T @ grad)
            for_bias.update(bias, grad.sum(axis=0))
            losses.append(value)
        history.append(np.mean(losses))
    return weights, bias, history


plates = steelfast.load_steel_plates(source="auto" if "STEELFAST_DATA" in os.environ else "twin")
n_classes = len(plates.target_names)
cost = 1 - np.eye(n_classes)
cost[[plates.target_names.index(name) for name in SCRATCHES]] *= SCRATCH_COST

X_train, X_test, y_train, y_test = train_test_split(
    plates.data, plates.target, test_size=0.2, stratify=plates.target, random_state=0
)
mean, scale = X_train.mean(axis=0), X_train.std(axis=0)
X_train, X_test = (X_train - mean) / scale, (X_test - mean) / scale

print(plates)
for loss in (cross_entropy, focal_loss, cost_sensitive):
    print(f"{loss.__name__}: gradient within {gradient_error(loss):.0e} of finite differences")
    weights, bias, history = train(loss, X_train, y_train, n_classes)
    print(f"    loss {history[0]:.3f} in the first epoch, {history[-1]:.3f} in the last")
    for which, X, labels in (("trained on", X_train, y_train), ("held out", X_test, y_test)):
        predicted = np.argmax(X @ weights + bias, axis=1)
        costs = cost[labels, predicted]
        print(f"    plates {which}: accuracy {np.mean(predicted == labels):.3f}, cost of a plate {costs.mean():.3f}")
