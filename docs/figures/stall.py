"""Gradients of the squared error and of the cross-entropy through a sigmoid, and what they do to a wrong logit."""

import matplotlib.pyplot as plt
import numpy as np

import steelfast

LOSSES = (
    (steelfast.sigmoid_cross_entropy_grad, "#0072B2", "-", "cross-entropy"),
    (steelfast.sigmoid_mse_grad, "#D55E00", "--", "squared error"),
)
figure, (left, right) = plt.subplots(1, 2)
z = np.linspace(-8, 8, 400)
for grad, colour, line, label in LOSSES:
    left.plot(z, -grad(z, np.ones_like(z), reduction="none"), line, color=colour, label=label)
left.set_xlabel("Logit z, target 1")
left.set_ylabel("−dL/dz")
left.legend()

N_STEPS = 400
for grad, colour, line, _ in LOSSES:
    z, path = np.array([-6.0]), []
    for _ in range(N_STEPS):
        path.append(z[0])
        z = z - grad(z, np.ones(1))
    right.plot(range(N_STEPS), steelfast.sigmoid(np.array(path)), line, color=colour)
right.set_xlabel("Step of gradient descent from z = −6")
right.set_ylabel("σ(z)")
