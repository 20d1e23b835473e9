"""The focal loss of a softmax and its gradient, row by row (Lin et al., "Focal loss for dense object detection", 2017).

With p the probability of the label and q = 1 - p the loss is -q**gamma · log p. Its derivative by a logit is
weight · p_j, by that of the label -weight · q, where weight = q**gamma · (1 - gamma · p · log p / q): nothing cancels.
"""
from cython cimport floating
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport INFINITY
from libc.string cimport memcpy

from steelfast._elementary cimport exp, exp_reach, log, log1p, multiply_add, two_sum
from steelfast._rows cimport BLOCK, LANES, TILES, fill_lanes, larger, load_rows, maximum_block, settle_rows, store_rows

import numpy as np


cdef inline void focal_block(
    const floating* logits, const Py_ssize_t* labels, floating gamma, floating* losses, floating* grad,
    Py_ssize_t n_rows, Py_ssize_t n_classes,
) noexcept nogil:
    """The first LANES of n_rows rows: tile j of the block is class j, and each row is a lane of it."""
    cdef floating[BLOCK] block
    cdef floating[LANES] maximum, others, label_shift, label_exp, scale, loss
    cdef Py_ssize_t[LANES] label
    cdef floating shift, low, e, p, q, ratio, power
    cdef floating tiny = <floating>FLT_MIN if floating is float else <floating>DBL_MIN
    cdef Py_ssize_t lane, j
    for lane in range(LANES):
        label[lane] = labels[lane] if lane < n_rows else 0
    fill_lanes(-<floating>INFINITY, maximum)
    fill_lanes(<floating>0.0, others)
    load_rows(logits, n_classes, 1, n_rows, n_classes, block)
    maximum_block(block, n_classes, maximum)
    settle_rows(block, n_classes, maximum, True)
    for j in range(n_classes):
        for lane in range(LANES):
            # the difference is rounded; what that loses is in low: exp(shift + low) = exp(shift) · (1 + low)
            shift = two_sum(block[j * LANES + lane], -maximum[lane], &low)
            e = exp(shift)
            e = <floating>0.0 if shift < -exp_reach(shift) else multiply_add(e, low, e)
            block[j * LANES + lane] = e
            others[lane] += <floating>0.0 if j == label[lane] else e
            label_exp[lane] = e if j == label[lane] else label_exp[lane]
            label_shift[lane] = shift if j == label[lane] else label_shift[lane]
    for lane in range(LANES):
        scale[lane] = <floating>1.0 / (others[lane] + label_exp[lane])
        p = label_exp[lane] * scale[lane]
        q = larger(others[lane] * scale[lane], tiny)
        # log p = shift - log(sum), where one of the terms of the sum is 1
        loss[lane] = log1p(others[lane] + (label_exp[lane] - <floating>1.0), <floating>0.0, &low) - label_shift[lane]
        ratio = p * loss[lane] / q if p > <floating>0.0 else <floating>0.0
        power = exp(gamma * log(q))
        loss[lane] = power * loss[lane]
        scale[lane] = power * (<floating>1.0 + gamma * ratio) * scale[lane]
    for j in range(n_classes):
        for lane in range(LANES):
            e = -others[lane] if j == label[lane] else block[j * LANES + lane]
            block[j * LANES + lane] = e * scale[lane]
    memcpy(losses, loss, min(LANES, n_rows) * sizeof(floating))
    store_rows(block, grad, n_classes, 1, n_rows, n_classes, True)


def focal_loss(const floating[:, ::1] logits, const Py_ssize_t[::1] labels, double gamma=2.0):
    """The loss of each row and its gradient: arrays of shapes (n,) and (n, n_classes)."""
    cdef Py_ssize_t n_rows = logits.shape[0], n_classes = logits.shape[1], i
    if not 0 < n_classes <= TILES:
        raise ValueError(f"logits must have 1 to {TILES} columns; got {n_classes}")
    if labels.shape[0] != n_rows:
        raise ValueError(f"labels must be as many as the rows of logits, {n_rows}; got {labels.shape[0]}")
    for i in range(n_rows):
        if not 0 <= labels[i] < n_classes:
            raise ValueError(f"labels must be from 0 to {n_classes - 1}; got {labels[i]} in row {i}")
    losses = np.empty(n_rows, np.float32 if floating is float else np.float64)
    grad = np.empty((n_rows, n_classes), losses.dtype)
    cdef floating[::1] losses_view = losses
    cdef floating[:, ::1] grad_view = grad
    with nogil:
        for i from 0 <= i < n_rows by LANES:
            focal_block(
                &logits[i, 0], &labels[i], <floating>gamma, &losses_view[i], &grad_view[i, 0], n_rows - i, n_classes,
            )
    return losses, grad
