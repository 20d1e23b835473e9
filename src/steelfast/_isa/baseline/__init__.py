"""The kernels for any processor."""
