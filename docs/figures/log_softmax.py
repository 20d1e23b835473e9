"""How many digits of a log-softmax near zero are right, in float32: by the book's formula, and by the kernel."""

import matplotlib.pyplot as plt
import numpy as np

import steelfast
from steelfast import reference

gap = np.linspace(0, 40, 400).astype(np.float32)
logits = np.column_stack([gap, np.zeros_like(gap)])
exact = -np.log1p(np.exp(-gap.astype(float)))

figure, ax = plt.subplots(figsize=(6.4, 2.8))
for log_probs, colour, line, label in (
    (reference.log_softmax(logits)[:, 0], "#D55E00", "-", "$(z - m) - \\log\\sum e^{z - m}$, in NumPy"),
    (steelfast.log_softmax(logits)[:, 0], "#0072B2", "--", "steelfast.log_softmax"),
):
    error = np.abs(log_probs - exact) / np.abs(exact)
    ax.plot(gap, np.clip(-np.log10(np.maximum(error, 1e-9)), 0, 9), line, color=colour, label=label)
ax.set_xlabel("Gap between the two logits")
ax.set_ylabel("Decimal digits that are right")
ax.legend(loc="center right")
