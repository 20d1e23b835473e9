"""Arrays as the kernels see them: the fast checks, and any array along any axis as rows of classes.

Public functions first ask `is_plain_rows`: the case that must cost nothing. Whatever else comes goes through
`_arguments`, which converts and raises, and through `Layout`.
"""
from cpython.long cimport PyLong_CheckExact

cimport numpy as cnp

cdef extern from "Python.h":
    ctypedef struct PyThreadState
    PyThreadState* PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState*)

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void* data, cnp.dtype descr, object base)

cdef enum:
    # below this many entries a loop takes less time than giving the GIL away and getting it back
    RELEASE_GIL = 8192

cdef struct Layout:
    # class j of row i of slab o stands at data[o · slab_stride + i · row_stride + j · class_stride]
    char* data
    Py_ssize_t n_slabs, n_rows, n_classes
    Py_ssize_t slab_stride, row_stride, class_stride


cdef inline bint is_plain(object x) noexcept:
    """An ndarray, C-contiguous, aligned, in native byte order, float32 or float64."""
    if not cnp.PyArray_CheckExact(x) or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> x):
        return False
    return cnp.PyArray_TYPE(<cnp.ndarray> x) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(<cnp.ndarray> x) == cnp.NPY_DOUBLE


cdef inline bint is_plain_rows(object x) noexcept:
    """The same with at least one dimension, the last one being at least one class."""
    cdef int n_dimensions
    if not is_plain(x):
        return False
    n_dimensions = cnp.PyArray_NDIM(<cnp.ndarray> x)
    return n_dimensions > 0 and cnp.PyArray_DIM(<cnp.ndarray> x, n_dimensions - 1) > 0


cdef inline bint is_last_axis(object axis, cnp.ndarray x):
    """And an int: others take the general path, which says what is wrong with them."""
    return PyLong_CheckExact(axis) and (axis == -1 or axis == cnp.PyArray_NDIM(x) - 1)


cdef inline bint is_float32(cnp.ndarray x) noexcept:
    return cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT


cdef inline bint same_shape_and_type(cnp.ndarray a, cnp.ndarray b) noexcept:
    return cnp.PyArray_TYPE(a) == cnp.PyArray_TYPE(b) and cnp.PyArray_SAMESHAPE(a, b)


cdef inline bint are_apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Two C-contiguous arrays that share no byte."""
    return (
        cnp.PyArray_BYTES(a) + cnp.PyArray_NBYTES(a) <= cnp.PyArray_BYTES(b)
        or cnp.PyArray_BYTES(b) + cnp.PyArray_NBYTES(b) <= cnp.PyArray_BYTES(a)
    )


cdef inline bint is_plain_target(object out, cnp.ndarray x) noexcept:
    """What a kernel may write to while it reads x, which is plain: like x, writeable, x itself or apart from it."""
    return (
        is_plain(out) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray> out) and same_shape_and_type(x, <cnp.ndarray> out)
        and (cnp.PyArray_DATA(<cnp.ndarray> out) == cnp.PyArray_DATA(x) or are_apart(<cnp.ndarray> out, x))
    )


cdef inline cnp.ndarray new_array(int n_dimensions, cnp.npy_intp* shape, int type_number):
    return cnp.PyArray_EMPTY(n_dimensions, shape, type_number, 0)


cdef inline cnp.ndarray empty_like(cnp.ndarray x):
    return new_array(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))


cdef inline PyThreadState* allow_threads(Py_ssize_t n_entries) noexcept:
    """Lets other threads run until `end_allow_threads`, if the work is worth it. No Python in between."""
    return PyEval_SaveThread() if n_entries >= RELEASE_GIL else NULL


cdef inline void end_allow_threads(PyThreadState* state) noexcept:
    if state != NULL:
        PyEval_RestoreThread(state)


cdef inline Layout layout_of_rows(cnp.ndarray x) noexcept:
    """The rows of a C-contiguous array along its last axis."""
    cdef Layout layout
    layout.data = cnp.PyArray_BYTES(x)
    layout.n_slabs = 1
    layout.slab_stride = 0
    layout.n_classes = cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    layout.n_rows = cnp.PyArray_SIZE(x) // layout.n_classes
    layout.row_stride = layout.n_classes
    layout.class_stride = 1
    return layout


cdef inline bint collapse(cnp.ndarray x, int first, int last, Py_ssize_t* size, Py_ssize_t* stride) noexcept:
    """Axes first … last - 1 as a single one, if their strides allow it."""
    cdef int k
    size[0] = 1
    stride[0] = 0
    for k in range(last - 1, first - 1, -1):
        if cnp.PyArray_DIM(x, k) == 1:
            continue
        if size[0] == 1:
            stride[0] = cnp.PyArray_STRIDE(x, k)
        elif cnp.PyArray_STRIDE(x, k) != stride[0] * size[0]:
            return False
        size[0] *= cnp.PyArray_DIM(x, k)
    return True


cdef inline bint layout_of(cnp.ndarray x, int axis, Layout* layout) noexcept:
    """The rows of x along an axis; False where x must be copied to C order first.

    How many slabs and rows there are depends on the shape alone, so that arrays of one shape fit together.
    """
    cdef Py_ssize_t itemsize = cnp.PyArray_ITEMSIZE(x)
    layout.data = cnp.PyArray_BYTES(x)
    layout.n_classes = cnp.PyArray_DIM(x, axis)
    layout.class_stride = cnp.PyArray_STRIDE(x, axis) // itemsize
    layout.n_rows = layout.row_stride = 0
    if not collapse(x, 0, axis, &layout.n_slabs, &layout.slab_stride):
        return False
    if not collapse(x, axis + 1, cnp.PyArray_NDIM(x), &layout.n_rows, &layout.row_stride):
        return False
    layout.slab_stride //= itemsize
    layout.row_stride //= itemsize
    if layout.n_rows == 1:
        layout.n_rows = layout.n_slabs
        layout.row_stride = layout.slab_stride
        layout.n_slabs = 1
    return True
