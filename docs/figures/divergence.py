"""Cross-entropy of (0.3, 0.7) and (q, 1 − q): the entropy and the divergence on top."""

import matplotlib.pyplot as plt
import numpy as np

import steelfast

P = 0.3
q = np.linspace(0.01, 0.99, 200)
p_rows, q_rows = np.tile([P, 1 - P], (len(q), 1)), np.column_stack([q, 1 - q])
cross = steelfast.cross_entropy(p_rows, q_rows, base=2)
entropy = steelfast.entropy(np.array([P, 1 - P]), base=2)

figure, ax = plt.subplots(figsize=(6.4, 3))
ax.plot(q, cross, color="#0072B2", label="H(p, q)")
ax.axhline(entropy, color="#D55E00", linestyle="--", label="H(p)")
ax.fill_between(q, entropy, cross, color="#56B4E9", alpha=0.35, label="KL(p‖q)")
ax.plot([P], [entropy], "o", color="black", markersize=5)
ax.set_xlabel("q, where p = 0.3")
ax.set_ylabel("Bits")
ax.set_ylim(0, 4)
ax.legend(loc="upper center")
