"""The Jacobian of a row that is undecided, and of one that is nearly decided."""

import matplotlib.pyplot as plt
import numpy as np

import steelfast

logits = np.array([[1.0, 0.5, 0.0, -0.5], [5.0, 1.0, 0.0, -1.0]])
probs = steelfast.softmax(logits)

figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.3))
for ax, p, jacobian in zip(axes, probs, steelfast.softmax_jacobian(probs), strict=True):
    image = ax.imshow(jacobian, cmap="PuOr_r", vmin=-0.25, vmax=0.25)
    for i, j in np.ndindex(jacobian.shape):
        text = f"{jacobian[i, j].round(3) + 0.0:.3f}".replace("-", "−")  # + 0.0: no minus before a zero
        colour = "white" if abs(jacobian[i, j]) > 0.17 else "0.1"
        ax.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    ax.set_title("p = (" + ", ".join(f"{each:.3f}" for each in p) + ")", fontsize=9)
    ax.set_xticks(range(4), [f"$z_{j}$" for j in range(1, 5)])
    ax.set_yticks(range(4), [f"$p_{i}$" for i in range(1, 5)])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
figure.colorbar(image, ax=axes, shrink=0.8, label="$∂p_i / ∂z_j$")
