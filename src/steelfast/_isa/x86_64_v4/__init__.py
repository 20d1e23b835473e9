"""The kernels for x86-64-v4."""
