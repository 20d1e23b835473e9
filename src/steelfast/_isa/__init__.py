"""The kernels, built once for each instruction set; `steelfast._kernels` picks one."""
