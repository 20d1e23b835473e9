"""The linear model z = x·w + b and what stands on top of it: whole epochs of minibatches, and sums of gradients.

The contract of this file: a `def` checks sizes and indices, allocates the workspace and hands over to one `cdef`
kernel without the GIL. Rows stay where they are; their logits, `chunk` rows at a time, stand in rows padded to whole
registers, become their own gradients there, and go into the gradient of the parameters, which the step of the
optimiser takes. Weights that are padding are 0 and stay 0.
"""
from cpython.pycapsule cimport PyCapsule_GetPointer
from cython cimport floating
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from steelfast._arrays cimport allow_threads, end_allow_threads, is_float32, new_array
from steelfast._elementary cimport enter_environment, environment, leave_environment, log1p
from steelfast._heads cimport (
    COLUMNS,
    EACH_SIGMOID_CROSS_ENTROPY,
    EACH_SIGMOID_MSE,
    EACH_SIGMOID_MSE_WITHOUT_SLOPE,
    SOFTMAX_CROSS_ENTROPY,
    Head,
    Tally,
    few_classes,
    losses_of_row,
    many_classes,
    nothing,
    sum_of_losses,
)
from steelfast._rows cimport LANES, TILES
from steelfast._steps cimport ADAM, SGD, Rule, remembers_gradient, remembers_square, take_step

from steelfast._arguments import described


cnp.import_array()

cdef extern from "numpy/random/bitgen.h":
    # not by numpy.random's own declarations: a module that cimports them imports it, which takes 10 ms
    ctypedef struct bitgen_t:
        void* state
        uint64_t (*next_uint64)(void* state) noexcept nogil

cdef extern from "_product.h" nogil:
    void logits_f "steelfast_logits_f"(
        const void**, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, float*)
    void logits_d "steelfast_logits_d"(
        const void**, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, double*)
    void gradient_f "steelfast_gradient_f"(
        const void**, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, bint, float*)
    void gradient_d "steelfast_gradient_d"(
        const void**, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, bint, double*)
    void descend_f "steelfast_descend_f"(
        const void**, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, float, float*)
    void descend_d "steelfast_descend_d"(
        const void**, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, double, double*)
    void advance_f "steelfast_advance_f"(
        const void**, const void**, Py_ssize_t, Py_ssize_t, float*, float, float*)
    void advance_d "steelfast_advance_d"(
        const void**, const void**, Py_ssize_t, Py_ssize_t, double*, double, double*)
    enum:
        ADVANCE_ROWS_F "STEELFAST_ADVANCE_ROWS_F"
        ADVANCE_ROWS_D "STEELFAST_ADVANCE_ROWS_D"

cdef enum:
    MOST_ROWS = 64        # gathered at a time, if the cache holds them:
    ENTRIES = 16384
    ALIGNMENT = 64

cdef struct Table:
    # rows of features with a label each, all of one type
    const void* X
    const int64_t* labels
    const int64_t* order  # which row comes when; NULL: as they stand
    const void* weight    # what each row counts; NULL: 1
    Py_ssize_t n_features, n_classes

cdef struct Workspace:
    # local to a call; of floating unless something else is said
    Py_ssize_t width      # n_classes, padded
    Py_ssize_t chunk      # rows at a time, a multiple of LANES
    const void** rows     # where each of the chunk is
    const void** next     # and of the minibatch that comes next
    char* copies          # chunk × n_features, if they are converted first
    char* logits          # chunk × width
    char* weight          # chunk
    char* labels          # chunk, of int64
    char* numbers         # chunk, the labels as floating
    char* parameters      # (n_features + 1) × width, like the others
    char* gradient
    char* first
    char* second


# a function for each head, none of them inlined: gcc vectorises less in one that has grown large

cdef void softmax_cross_entropies(
    const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const floating* labels, const floating* weight, floating scale, Tally* tally,
) noexcept nogil:
    few_classes(
        SOFTMAX_CROSS_ENTROPY, head, logits, width, n_rows, n_classes, labels, weight, scale, tally)


cdef void sigmoid_cross_entropies(
    const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const floating* labels, const floating* weight, floating scale, Tally* tally,
) noexcept nogil:
    few_classes(
        EACH_SIGMOID_CROSS_ENTROPY, head, logits, width, n_rows, n_classes, labels, weight, scale, tally)


cdef void sigmoid_mses(
    const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const floating* labels, const floating* weight, floating scale, Tally* tally,
) noexcept nogil:
    few_classes(
        EACH_SIGMOID_MSE, head, logits, width, n_rows, n_classes, labels, weight, scale, tally)


cdef void sigmoid_mses_without_slope(
    const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const floating* labels, const floating* weight, floating scale, Tally* tally,
) noexcept nogil:
    few_classes(
        EACH_SIGMOID_MSE_WITHOUT_SLOPE, head, logits, width, n_rows, n_classes, labels, weight, scale, tally)


cdef void losses_of_many(
    const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const int64_t* labels, const floating* weight, floating scale, Tally* tally,
) noexcept nogil:
    many_classes(head, logits, width, n_rows, n_classes, labels, weight, scale, tally)


cdef inline void differentiate(
    const Head* head, floating* logits, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n_classes,
    const int64_t* labels, const floating* numbers, const floating* weight, floating scale, Tally* tally,
) noexcept nogil:
    cdef Py_ssize_t i
    if weight != NULL:
        for i in range(n_rows):
            # a row without weight costs nothing, whatever its logits are
            if weight[i] == <floating>0.0:
                memset(logits + i * width, 0, width * sizeof(floating))
    if n_classes > TILES:
        losses_of_many(head, logits, width, n_rows, n_classes, labels, weight, scale, tally)
    elif head.kind == SOFTMAX_CROSS_ENTROPY:
        softmax_cross_entropies(
            head, logits, width, n_rows, n_classes, numbers, weight, scale, tally)
    elif head.kind == EACH_SIGMOID_CROSS_ENTROPY:
        sigmoid_cross_entropies(head, logits, width, n_rows, n_classes, numbers, weight, scale, tally)
    elif head.kind == EACH_SIGMOID_MSE:
        sigmoid_mses(head, logits, width, n_rows, n_classes, numbers, weight, scale, tally)
    else:
        sigmoid_mses_without_slope(head, logits, width, n_rows, n_classes, numbers, weight, scale, tally)


# --- minibatches -----------------------------------------------------------------------------------------------------

cdef inline void gather(
    const Table* table, const Workspace* space, Py_ssize_t first, Py_ssize_t n, const void** rows, floating example,
) noexcept nogil:
    """Where the n rows from place `first` on are, their labels and weights."""
    cdef const floating* X = <const floating*> table.X
    cdef const floating* weight = <const floating*> table.weight
    cdef const int64_t* all_labels = table.labels
    cdef const int64_t* order = table.order
    cdef floating* weights = <floating*> space.weight
    cdef int64_t* labels = <int64_t*> space.labels
    cdef floating* numbers = <floating*> space.numbers
    cdef Py_ssize_t n_features = table.n_features
    cdef Py_ssize_t k, i
    for k in range(n):
        i = first + k if order == NULL else order[first + k]
        rows[k] = X + i * n_features
        labels[k] = all_labels[i]
        numbers[k] = <floating> labels[k]
        if weight != NULL:
            weights[k] = weight[i]


cdef inline void look(
    const Table* table, const Workspace* space, Py_ssize_t first, Py_ssize_t n, const void** rows, floating example,
) noexcept nogil:
    """Gathers the n rows from place `first` on, which fit a chunk, and finds their logits."""
    gather(table, space, first, n, rows, example)
    if floating is float:
        logits_f(rows, n, table.n_features, <float*> space.parameters, space.width, <float*> space.logits)
    else:
        logits_d(rows, n, table.n_features, <double*> space.parameters, space.width, <double*> space.logits)


cdef inline void differentiate_chunk(
    const Table* table, const Head* head, const Workspace* space, Py_ssize_t n, floating scale, Tally* tally,
) noexcept nogil:
    """`differentiate` for n rows that were gathered."""
    cdef const floating* weight = NULL
    if table.weight != NULL:
        weight = <const floating*> space.weight
    differentiate(
        head, <floating*> space.logits, space.width, n, table.n_classes, <const int64_t*> space.labels,
        <const floating*> space.numbers, weight, scale, tally)


cdef void add_gradient(
    const Table* table, const Head* head, const Workspace* space, Py_ssize_t first, Py_ssize_t n, bint mean,
    floating example, Tally* tally,
) noexcept nogil:
    """Of n rows from place `first` on: the gradient of the sum of their losses, or of their mean."""
    cdef Py_ssize_t done, m
    cdef bint add = not mean
    cdef double scale = 1.0 / <double> n if mean else 1.0
    for done from 0 <= done < n by space.chunk:
        m = min(space.chunk, n - done)
        look(table, space, first + done, m, space.rows, example)
        differentiate_chunk(table, head, space, m, <floating> scale, tally)
        if floating is float:
            gradient_f(
                space.rows, m, table.n_features, <float*> space.logits, space.width, add, <float*> space.gradient)
        else:
            gradient_d(
                space.rows, m, table.n_features, <double*> space.logits, space.width, add, <double*> space.gradient)
        add = True


cdef inline void note(
    const Tally* tally, Py_ssize_t n, Py_ssize_t step, double* losses, double* accuracies, double* excesses,
) noexcept nogil:
    """The figures of a step on n rows."""
    losses[step] = tally.loss
    excesses[step] = tally.excess
    accuracies[step] = tally.correct / <double> n


cdef void mean_losses(double* losses, const double* excesses, Py_ssize_t n_steps, double count) noexcept nogil:
    """Means of the sums of losses in each tally: of a whole epoch, for a logarithm by itself waits a hundred cycles."""
    cdef double low
    cdef Py_ssize_t k
    for k in range(n_steps):
        losses[k] = (losses[k] + log1p(excesses[k], 0.0, &low)) / count


cdef void descend(
    const Table* table, const Head* head, const Workspace* space, Py_ssize_t n_rows, Py_ssize_t batch_size,
    const double* rates, floating example, double* losses, double* accuracies, double* excesses,
) noexcept nogil:
    """An epoch of plain steps down the gradient, of minibatches that fit a chunk."""
    cdef floating* parameters = <floating*> space.parameters
    cdef floating* logits = <floating*> space.logits
    cdef const void** rows = space.rows
    cdef const void** next_rows = space.next
    cdef Py_ssize_t most = ADVANCE_ROWS_F if floating is float else ADVANCE_ROWS_D
    cdef Py_ssize_t step = 0
    cdef Py_ssize_t first, n
    cdef bint known = False        # the logits, by the step before
    cdef Tally tally
    if space.width != COLUMNS:
        most = 0
    for first from 0 <= first < n_rows by batch_size:
        n = min(batch_size, n_rows - first)
        if not known:
            look(table, space, first, n, rows, example)
        tally = nothing()
        differentiate_chunk(table, head, space, n, <floating> (1.0 / <double> n), &tally)
        note(&tally, n, step, losses, accuracies, excesses)
        known = n <= most and first + 2 * n <= n_rows
        if known:
            gather(table, space, first + n, n, next_rows, example)
            if floating is float:
                advance_f(rows, next_rows, n, table.n_features, logits, <float> rates[step], parameters)
            else:
                advance_d(rows, next_rows, n, table.n_features, logits, rates[step], parameters)
            rows, next_rows = next_rows, rows
        elif floating is float:
            descend_f(rows, n, table.n_features, logits, space.width, <float> rates[step], parameters)
        else:
            descend_d(rows, n, table.n_features, logits, space.width, rates[step], parameters)
        step += 1


cdef void step_by_step(
    const Table* table, const Head* head, const Workspace* space, Py_ssize_t n_rows, Py_ssize_t batch_size, double l2,
    const Rule* rule, const double* rates, Py_ssize_t number, floating example, double* losses, double* accuracies,
    double* excesses,
) noexcept nogil:
    """An epoch of the optimiser's steps, whatever it is."""
    cdef floating* parameters = <floating*> space.parameters
    cdef floating* gradient = <floating*> space.gradient
    cdef Py_ssize_t n_weights = table.n_features * space.width
    cdef Py_ssize_t i, k, n
    cdef Py_ssize_t step = 0
    cdef Tally tally
    for i from 0 <= i < n_rows by batch_size:
        n = min(batch_size, n_rows - i)
        tally = nothing()
        add_gradient(table, head, space, i, n, True, example, &tally)
        note(&tally, n, step, losses, accuracies, excesses)
        if l2 != 0.0:
            for k in range(n_weights):
                gradient[k] += <floating> l2 * parameters[k]
        take_step(
            rule, parameters, gradient, <floating*> space.first, <floating*> space.second, n_weights + space.width,
            rates[step], number + step,
        )
        step += 1


cdef void epoch(
    const Table* table, const Head* head, const Workspace* space, Py_ssize_t n_rows, Py_ssize_t batch_size, double l2,
    const Rule* rule, const double* rates, Py_ssize_t number, floating example, double* losses, double* accuracies,
    double* excesses,
) noexcept nogil:
    cdef Py_ssize_t n_whole = n_rows // batch_size
    cdef double per_row = losses_of_row(head, table.n_classes)
    if rule.kind == SGD and rule.weight_decay == 0.0 and l2 == 0.0 and batch_size <= space.chunk:
        descend(table, head, space, n_rows, batch_size, rates, example, losses, accuracies, excesses)
    else:
        step_by_step(
            table, head, space, n_rows, batch_size, l2, rule, rates, number, example, losses, accuracies, excesses)
    mean_losses(losses, excesses, n_whole, per_row * <double> batch_size)
    if n_rows % batch_size:
        mean_losses(losses + n_whole, excesses + n_whole, 1, per_row * <double> (n_rows % batch_size))


cdef Py_ssize_t epochs(
    Table* table, const Head* head, const Workspace* space, Py_ssize_t n_epochs, Py_ssize_t n_rows,
    Py_ssize_t batch_size, double l2, const Rule* rule, const double* rates, Py_ssize_t number, floating example,
    double* figures, double* excesses,
) noexcept nogil:
    """One after the other; returns how many, the last of which may have left the finite numbers."""
    cdef const floating* parameters = <const floating*> space.parameters
    cdef Py_ssize_t n_steps = (n_rows + batch_size - 1) // batch_size
    cdef Py_ssize_t n_done, k
    cdef double check = 0.0
    cdef environment saved = enter_environment()
    n_done = 0
    while n_done < n_epochs and check == 0.0:
        epoch(
            table, head, space, n_rows, batch_size, l2, rule, rates, number, example, figures, figures + n_steps,
            excesses)
        for k in range(n_steps):
            check += figures[k] - figures[k]                # 0, or NaN
        for k in range((table.n_features + 1) * space.width):
            check += parameters[k] - parameters[k]
        n_done += 1
        table.order += n_rows
        rates += n_steps
        number += n_steps
        figures += 2 * n_steps
    leave_environment(saved)
    return n_done


# --- from arrays to kernels ------------------------------------------------------------------------------------------

cdef Head head_of(str kind, double cap, double off, double on) except *:
    cdef Head head
    head.cap = cap
    head.off = off
    head.on = on
    if kind == "softmax_cross_entropy":
        head.kind = SOFTMAX_CROSS_ENTROPY
    elif kind == "sigmoid_cross_entropy":
        head.kind = EACH_SIGMOID_CROSS_ENTROPY
    elif kind == "sigmoid_mse":
        head.kind = EACH_SIGMOID_MSE
    elif kind == "sigmoid_mse_without_slope":
        head.kind = EACH_SIGMOID_MSE_WITHOUT_SLOPE
    else:
        raise ValueError(f"kind must be that of a head, got {kind!r}")
    return head


cdef cnp.ndarray plain_array(object x, str name, int type_number, int n_dimensions, bint writes=False):
    """x, if it is what a kernel can read, or write, as it stands."""
    if not (
        cnp.PyArray_Check(x) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> x)
        and cnp.PyArray_TYPE(<cnp.ndarray> x) == type_number and cnp.PyArray_NDIM(<cnp.ndarray> x) == n_dimensions
    ):
        raise ValueError(
            f"{name} must be a C-ordered array of {cnp.PyArray_DescrFromType(type_number)} with {n_dimensions} "
            f"dimensions, got {described(x)}")
    if writes and not cnp.PyArray_ISWRITEABLE(<cnp.ndarray> x):
        raise ValueError(f"{name} must be writeable, got a read-only array")
    return x


cdef int type_of_table(cnp.ndarray x, str name, bint writes) except -1:
    """The type number of a table of float32 or float64 with at least one column."""
    cdef int type_number = cnp.PyArray_TYPE(x)
    if type_number != cnp.NPY_FLOAT and type_number != cnp.NPY_DOUBLE:
        raise ValueError(f"{name} must be float32 or float64, got {x.dtype}")
    plain_array(x, name, type_number, 2, writes)
    if cnp.PyArray_DIM(x, 1) < 1:
        raise ValueError(f"{name} must be of at least one class, got {described(x)}")
    return type_number


cdef object memory_of(object x, str name, bint needed, cnp.ndarray parameters):
    """What an optimiser remembers, if it is like the parameters; None where nothing is."""
    if x is None and not needed:
        return None
    plain_array(x, name, cnp.PyArray_TYPE(parameters), 2, True)
    if not cnp.PyArray_SAMESHAPE(<cnp.ndarray> x, parameters):
        raise ValueError(f"{name} must be like the parameters, {described(parameters)}, got {described(x)}")
    return x


cdef int check_indices(const int64_t* indices, Py_ssize_t n, Py_ssize_t limit, str name) except -1:
    cdef const uint64_t* numbers = <const uint64_t*> indices
    cdef uint64_t last = <uint64_t> (limit - 1)
    cdef uint64_t wrong = 0
    cdef Py_ssize_t i
    for i in range(n):
        wrong |= numbers[i] | (last - numbers[i])        # of a number outside one of the two is negative
    if wrong >> 63:
        for i in range(n):
            if not 0 <= indices[i] < limit:
                raise ValueError(f"{name} must be within 0 … {limit - 1}, got {indices[i]} at index {i}")
    return 0


cdef int describe(
    Table* table, cnp.ndarray parameters, object X, object labels, object orders, object weight, Py_ssize_t* n_rows,
) except -1:
    """The arrays as a table; n_rows: how many come in each of these orders."""
    cdef int kind = cnp.PyArray_TYPE(parameters)
    cdef cnp.ndarray rows = plain_array(X, "X", kind, 2)
    cdef cnp.ndarray of_rows = plain_array(labels, "labels", cnp.NPY_INT64, 1)
    cdef cnp.ndarray places
    cdef Py_ssize_t n = cnp.PyArray_DIM(rows, 0)
    table.n_features = cnp.PyArray_DIM(rows, 1)
    table.n_classes = cnp.PyArray_DIM(parameters, 1)
    if cnp.PyArray_DIM(parameters, 0) != table.n_features + 1:
        raise ValueError(
            f"parameters of {table.n_features} features must have {table.n_features + 1} rows, "
            f"got {cnp.PyArray_DIM(parameters, 0)}")
    if cnp.PyArray_DIM(of_rows, 0) != n:
        raise ValueError(f"labels must be as many as rows of X, {n}, got {cnp.PyArray_DIM(of_rows, 0)}")
    table.X = cnp.PyArray_DATA(rows)
    table.labels = <const int64_t*> cnp.PyArray_DATA(of_rows)
    check_indices(table.labels, n, table.n_classes, "labels")
    table.order = NULL
    table.weight = NULL
    n_rows[0] = n
    if orders is not None:
        places = plain_array(orders, "orders", cnp.NPY_INT64, 2)
        table.order = <const int64_t*> cnp.PyArray_DATA(places)
        n_rows[0] = cnp.PyArray_DIM(places, 1)
        check_indices(table.order, cnp.PyArray_SIZE(places), n, "orders")
    if weight is not None:
        of_rows = plain_array(weight, "row_weights", kind, 1)
        if cnp.PyArray_DIM(of_rows, 0) != n:
            raise ValueError(f"row_weights must be as many as rows of X, {n}, got {cnp.PyArray_DIM(of_rows, 0)}")
        table.weight = cnp.PyArray_DATA(of_rows)
    return 0


cdef inline char* take(char** free, Py_ssize_t size) noexcept:
    """`size` bytes of what is free, aligned."""
    cdef char* start = free[0]
    free[0] = start + (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    return start


cdef cnp.ndarray workspace_for(
    Table* table, Py_ssize_t most_rows, int type_number, Workspace* space, bint copies=False,
):
    """The memory of a workspace, which lasts as long as the array that is returned."""
    cdef Py_ssize_t itemsize = 4 if type_number == cnp.NPY_FLOAT else 8
    cdef Py_ssize_t width = (table.n_classes + COLUMNS - 1) // COLUMNS * COLUMNS
    # rows that are copied need the first cache twice
    cdef Py_ssize_t most = LANES if copies else MOST_ROWS
    cdef Py_ssize_t chunk = min(most, ENTRIES // (table.n_features + 1 + width), most_rows + LANES - 1)
    cdef Py_ssize_t of_parameters = (table.n_features + 1) * width * itemsize
    cdef cnp.npy_intp size
    cdef cnp.ndarray memory
    cdef char* free
    chunk = max(LANES, chunk // LANES * LANES)
    space.width = width
    space.chunk = chunk
    size = (
        chunk * ((table.n_features if copies else 0) + width + 2) * itemsize
        + chunk * (2 * sizeof(void*) + sizeof(int64_t)) + 4 * of_parameters + 12 * ALIGNMENT)
    memory = new_array(1, &size, cnp.NPY_UINT8)
    free = <char*> cnp.PyArray_DATA(memory)
    free += -<uintptr_t> free % ALIGNMENT
    space.rows = <const void**> take(&free, chunk * sizeof(void*))
    space.next = <const void**> take(&free, chunk * sizeof(void*))
    space.copies = take(&free, chunk * table.n_features * itemsize if copies else 0)
    space.logits = take(&free, chunk * width * itemsize)
    space.weight = take(&free, chunk * itemsize)
    space.labels = take(&free, chunk * sizeof(int64_t))
    space.numbers = take(&free, chunk * itemsize)
    space.parameters = take(&free, of_parameters)
    space.gradient = take(&free, of_parameters)
    space.first = take(&free, of_parameters)
    space.second = take(&free, of_parameters)
    # what is in lanes without a row must be no NaN, which is slow
    memset(space.logits, 0, chunk * width * itemsize)
    memset(space.weight, 0, chunk * itemsize)
    memset(space.numbers, 0, chunk * itemsize)
    return memory


cdef void pad(cnp.ndarray plain, char* padded, Py_ssize_t width) noexcept:
    """Rows of a matrix, with zeros behind them."""
    cdef Py_ssize_t n_bytes = cnp.PyArray_DIM(plain, 1) * cnp.PyArray_ITEMSIZE(plain)
    cdef Py_ssize_t step = width * cnp.PyArray_ITEMSIZE(plain)
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_DIM(plain, 0)):
        memcpy(padded + i * step, cnp.PyArray_BYTES(plain) + i * n_bytes, n_bytes)
        memset(padded + i * step + n_bytes, 0, step - n_bytes)


cdef void unpad(const char* padded, Py_ssize_t width, cnp.ndarray plain) noexcept:
    cdef Py_ssize_t n_bytes = cnp.PyArray_DIM(plain, 1) * cnp.PyArray_ITEMSIZE(plain)
    cdef Py_ssize_t step = width * cnp.PyArray_ITEMSIZE(plain)
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_DIM(plain, 0)):
        memcpy(cnp.PyArray_BYTES(plain) + i * n_bytes, padded + i * step, n_bytes)


cdef void differentiate_rows(
    const Head* head, floating* logits, Py_ssize_t n_rows, Py_ssize_t n_classes, const int64_t* labels,
    const floating* weight, double divisor, const Workspace* space, Tally* tally,
) noexcept nogil:
    """`differentiate` for rows that are not padded, of a sum that is divided by `divisor`."""
    cdef floating* padded = <floating*> space.logits
    cdef floating* weights = <floating*> space.weight
    cdef floating* numbers = <floating*> space.numbers
    cdef Py_ssize_t i, k, m
    cdef environment saved = enter_environment()
    for i from 0 <= i < n_rows by space.chunk:
        m = min(space.chunk, n_rows - i)
        for k in range(m):
            memcpy(padded + k * space.width, logits + (i + k) * n_classes, n_classes * sizeof(floating))
            numbers[k] = <floating> labels[i + k]
            if weight != NULL:
                weights[k] = weight[i + k]
        differentiate(
            head, padded, space.width, m, n_classes, labels + i, numbers, NULL if weight == NULL else weights,
            <floating> (1.0 / divisor), tally)
        for k in range(m):
            memcpy(logits + (i + k) * n_classes, padded + k * space.width, n_classes * sizeof(floating))
    leave_environment(saved)


def differentiate_logits(
    cnp.ndarray logits not None, labels, str kind, double cap, double off, double on, row_weights, double divisor,
):
    """Logits (n, n_classes) become the gradient of the sum of their rows' losses, divided by `divisor`.

    Returns the sums of the losses and of the weights of rows that are right.
    """
    cdef Head head = head_of(kind, cap, off, on)
    cdef Table table
    cdef Workspace space
    cdef Py_ssize_t n_rows
    cdef Tally tally = nothing()
    cdef int type_number = type_of_table(logits, "logits", True)
    cdef void* weight = NULL
    cdef const int64_t* of_rows
    table.n_features = -1  # the rows are not gathered, there are no parameters
    table.n_classes = cnp.PyArray_DIM(logits, 1)
    of_rows = <const int64_t*> cnp.PyArray_DATA(plain_array(labels, "labels", cnp.NPY_INT64, 1))
    n_rows = cnp.PyArray_DIM(<cnp.ndarray> labels, 0)
    if n_rows != cnp.PyArray_DIM(logits, 0):
        raise ValueError(f"labels must be as many as logits, {cnp.PyArray_DIM(logits, 0)}, got {n_rows}")
    check_indices(of_rows, n_rows, table.n_classes, "labels")
    if row_weights is not None:
        plain_array(row_weights, "row_weights", type_number, 1)
        if cnp.PyArray_DIM(<cnp.ndarray> row_weights, 0) != n_rows:
            raise ValueError(f"row_weights must be as many as logits, {n_rows}, got shape {row_weights.shape}")
        weight = cnp.PyArray_DATA(<cnp.ndarray> row_weights)
    _memory = workspace_for(&table, n_rows, type_number, &space)
    state = allow_threads(n_rows * table.n_classes)
    if type_number == cnp.NPY_FLOAT:
        differentiate_rows[float](
            &head, <float*> cnp.PyArray_DATA(logits), n_rows, table.n_classes, of_rows, <float*> weight, divisor,
            &space, &tally,
        )
    else:
        differentiate_rows[double](
            &head, <double*> cnp.PyArray_DATA(logits), n_rows, table.n_classes, of_rows, <double*> weight, divisor,
            &space, &tally,
        )
    end_allow_threads(state)
    return sum_of_losses(&tally) / losses_of_row(&head, table.n_classes), tally.correct


def train_linear_epochs(
    X, labels, orders, cnp.ndarray parameters not None, Py_ssize_t batch_size, str kind, double cap, double off,
    double on, row_weights, double l2, plan,
):
    """Epochs: the rows in each of these orders (n_epochs, n), with a step of the optimiser after each minibatch.

    Returns an array (n_epochs, 2, number of minibatches): the mean loss of each, and its accuracy, before its step. It
    ends with an epoch that has left the finite numbers.
    """
    cdef Head head = head_of(kind, cap, off, on)
    cdef Table table
    cdef Workspace space
    cdef Rule rule
    cdef Py_ssize_t n_rows, n_done
    cdef cnp.npy_intp shape[3]
    cdef cnp.ndarray figures, excesses
    cdef int type_number = type_of_table(parameters, "parameters", True)
    cdef cnp.ndarray rates
    cdef Py_ssize_t number = plan.number
    cdef object first, second
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    plain_array(orders, "orders", cnp.NPY_INT64, 2)
    describe(&table, parameters, X, labels, orders, row_weights, &n_rows)
    rates = plain_array(plan.rates, "rates", cnp.NPY_DOUBLE, 1)
    shape[0] = cnp.PyArray_DIM(<cnp.ndarray> orders, 0)
    shape[1] = 2
    shape[2] = (n_rows + batch_size - 1) // batch_size
    if cnp.PyArray_DIM(rates, 0) != shape[0] * shape[2]:
        raise ValueError(
            f"rates must be as many as minibatches, {shape[0] * shape[2]}, got {cnp.PyArray_DIM(rates, 0)}")
    rule.kind = plan.kind
    if not SGD <= rule.kind <= ADAM:
        raise ValueError(f"kind must be that of an optimiser, got {rule.kind}")
    first = memory_of(plan.first, "first", remembers_gradient(rule.kind), parameters)
    second = memory_of(plan.second, "second", remembers_square(rule.kind), parameters)
    rule.decay = plan.decay
    rule.second_decay = plan.second_decay
    rule.eps = plan.eps
    rule.weight_decay = plan.weight_decay
    rule.decoupled = plan.decoupled
    _memory = workspace_for(&table, min(batch_size, n_rows), type_number, &space)
    figures = new_array(3, shape, cnp.NPY_DOUBLE)
    excesses = new_array(1, &shape[2], cnp.NPY_DOUBLE)
    pad(parameters, space.parameters, space.width)
    if first is not None:
        pad(first, space.first, space.width)
    if second is not None:
        pad(second, space.second, space.width)
    state = allow_threads(shape[0] * n_rows * (table.n_features + 1))
    if type_number == cnp.NPY_FLOAT:
        n_done = epochs[float](
            &table, &head, &space, shape[0], n_rows, batch_size, l2, &rule, <double*> cnp.PyArray_DATA(rates), number,
            0.0, <double*> cnp.PyArray_DATA(figures), <double*> cnp.PyArray_DATA(excesses),
        )
    else:
        n_done = epochs[double](
            &table, &head, &space, shape[0], n_rows, batch_size, l2, &rule, <double*> cnp.PyArray_DATA(rates), number,
            0.0, <double*> cnp.PyArray_DATA(figures), <double*> cnp.PyArray_DATA(excesses),
        )
    end_allow_threads(state)
    unpad(space.parameters, space.width, parameters)
    if first is not None:
        unpad(space.first, space.width, first)
    if second is not None:
        unpad(space.second, space.width, second)
    return figures[:n_done]


ctypedef fused source:
    float
    double


cdef void logits_of_rows(
    const source* X, const double* mean, const double* factor, Py_ssize_t n_rows, Py_ssize_t n_features,
    Py_ssize_t n_classes, const Workspace* space, floating* logits,
) noexcept nogil:
    """The logits of rows that are standardised on the way: a chunk at a time, while the cache holds it."""
    cdef floating* row
    cdef floating* of_chunk = <floating*> space.logits
    cdef const floating* parameters = <const floating*> space.parameters
    # the logits of a row are written with their padding, over which the next row goes; but not of the last
    cdef Py_ssize_t n_padded = n_rows - (space.width - 1) // max(n_classes, 1)
    cdef Py_ssize_t first, j, k, m
    cdef environment saved = enter_environment()
    for first from 0 <= first < n_rows by space.chunk:
        m = min(space.chunk, n_rows - first)
        for k in range(first, first + m):
            row = <floating*> space.copies + (k - first) * n_features
            space.rows[k - first] = row
            if mean != NULL:
                for j in range(n_features):
                    row[j] = <floating> ((X[j] - mean[j]) * factor[j])
            elif source is floating:
                space.rows[k - first] = X
            else:
                for j in range(n_features):
                    row[j] = <floating> X[j]
            X += n_features
        if floating is float:
            logits_f(space.rows, m, n_features, parameters, space.width, of_chunk)
        else:
            logits_d(space.rows, m, n_features, parameters, space.width, of_chunk)
        for k in range(first, first + m):
            row = of_chunk + (k - first) * space.width
            if k < n_padded:
                for j from 0 <= j < space.width by COLUMNS:
                    memcpy(logits + j, row + j, COLUMNS * sizeof(floating))
            else:
                memcpy(logits, row, n_classes * sizeof(floating))
            logits += n_classes
    leave_environment(saved)


def linear_logits(X, cnp.ndarray parameters not None, mean=None, factor=None):
    """z = x·w + b, of x = (X - mean) · factor where those are given: float64, computed in it.

    X is float32 or float64; the result has the type of the parameters (n_features + 1, n_classes), b being their last
    row. A row's logits depend on that row alone, to the last bit.
    """
    cdef Table table
    cdef Workspace space
    cdef int type_number = type_of_table(parameters, "parameters", False)
    cdef bint single = isinstance(X, cnp.ndarray) and is_float32(<cnp.ndarray> X)
    cdef cnp.ndarray rows = plain_array(X, "X", cnp.NPY_FLOAT if single else cnp.NPY_DOUBLE, 2)
    cdef cnp.ndarray logits
    cdef cnp.npy_intp shape[2]
    cdef const double* means = NULL
    cdef const double* factors = NULL
    shape[0] = cnp.PyArray_DIM(rows, 0)
    shape[1] = table.n_classes = cnp.PyArray_DIM(parameters, 1)
    table.n_features = cnp.PyArray_DIM(rows, 1)
    if cnp.PyArray_DIM(parameters, 0) != table.n_features + 1:
        raise ValueError(f"X must have {cnp.PyArray_DIM(parameters, 0) - 1} features, got {table.n_features}")
    if mean is not None:
        means = <const double*> cnp.PyArray_DATA(plain_array(mean, "mean", cnp.NPY_DOUBLE, 1))
        factors = <const double*> cnp.PyArray_DATA(plain_array(factor, "factor", cnp.NPY_DOUBLE, 1))
        if not (cnp.PyArray_DIM(<cnp.ndarray> mean, 0) == cnp.PyArray_DIM(<cnp.ndarray> factor, 0) == table.n_features):
            raise ValueError(f"mean and factor must have one number for each of {table.n_features} features")
    _memory = workspace_for(&table, shape[0], type_number, &space, True)
    logits = new_array(2, shape, type_number)
    pad(parameters, space.parameters, space.width)
    state = allow_threads(shape[0] * (table.n_features + 1))
    if type_number == cnp.NPY_FLOAT and single:
        logits_of_rows(
            <const float*> cnp.PyArray_DATA(rows), means, factors, shape[0], table.n_features, shape[1], &space,
            <float*> cnp.PyArray_DATA(logits))
    elif type_number == cnp.NPY_FLOAT:
        logits_of_rows(
            <const double*> cnp.PyArray_DATA(rows), means, factors, shape[0], table.n_features, shape[1], &space,
            <float*> cnp.PyArray_DATA(logits))
    elif single:
        logits_of_rows(
            <const float*> cnp.PyArray_DATA(rows), means, factors, shape[0], table.n_features, shape[1], &space,
            <double*> cnp.PyArray_DATA(logits))
    else:
        logits_of_rows(
            <const double*> cnp.PyArray_DATA(rows), means, factors, shape[0], table.n_features, shape[1], &space,
            <double*> cnp.PyArray_DATA(logits))
    end_allow_threads(state)
    return logits


cdef void first_maxima_of_rows(
    const floating* rows, Py_ssize_t n_rows, Py_ssize_t n_classes, cnp.npy_intp* places,
) noexcept nogil:
    cdef floating largest
    cdef Py_ssize_t i, j, place
    cdef bint larger
    for i in range(n_rows):
        largest = rows[0]
        place = 0
        for j in range(1, n_classes):
            # no branch: where the largest is cannot be foreseen
            larger = rows[j] > largest
            largest = rows[j] if larger else largest
            place = j if larger else place
        places[i] = place
        rows += n_classes


def first_maxima(cnp.ndarray logits not None):
    """The place of the first maximum of each row (n, n_classes); where some are no numbers, any."""
    cdef int type_number = type_of_table(logits, "logits", False)
    cdef Py_ssize_t n_rows = cnp.PyArray_DIM(logits, 0)
    cdef Py_ssize_t n_classes = cnp.PyArray_DIM(logits, 1)
    cdef cnp.ndarray places = new_array(1, cnp.PyArray_DIMS(logits), cnp.NPY_INTP)
    cdef cnp.npy_intp* of_rows = <cnp.npy_intp*> cnp.PyArray_DATA(places)
    state = allow_threads(n_rows * n_classes)
    if type_number == cnp.NPY_FLOAT:
        first_maxima_of_rows(<const float*> cnp.PyArray_DATA(logits), n_rows, n_classes, of_rows)
    else:
        first_maxima_of_rows(<const double*> cnp.PyArray_DATA(logits), n_rows, n_classes, of_rows)
    end_allow_threads(state)
    return places


cdef bint all_finite(const char* numbers, Py_ssize_t n, bint single) noexcept nogil:
    """Of floats or doubles whether no exponent is all ones: the next number after it has the sign bit."""
    cdef const uint32_t* of_32_bits = <const uint32_t*> numbers
    cdef const uint64_t* of_64_bits = <const uint64_t*> numbers
    cdef uint32_t beyond = 0
    cdef uint64_t far_beyond = 0
    cdef Py_ssize_t i
    if single:
        for i in range(n):
            beyond |= (of_32_bits[i] & <uint32_t> 0x7f800000) + <uint32_t> 0x00800000
        return not beyond >> 31
    for i in range(n):
        far_beyond |= (of_64_bits[i] & <uint64_t> 0x7ff0000000000000) + <uint64_t> 0x0010000000000000
    return not far_beyond >> 63


def is_plain_table(X, *, bint finite=True):
    """Whether X is a C-contiguous array of float32 or float64 with two dimensions; of finite ones, unless not asked."""
    cdef bint single, result
    cdef Py_ssize_t n
    if not (
        cnp.PyArray_Check(X) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> X) and cnp.PyArray_NDIM(<cnp.ndarray> X) == 2
    ):
        return False
    single = is_float32(<cnp.ndarray> X)
    if not single and cnp.PyArray_TYPE(<cnp.ndarray> X) != cnp.NPY_DOUBLE:
        return False
    if not finite:
        return True
    n = cnp.PyArray_SIZE(<cnp.ndarray> X)
    state = allow_threads(n)
    result = all_finite(<const char*> cnp.PyArray_DATA(<cnp.ndarray> X), n, single)
    end_allow_threads(state)
    return result


cdef inline Py_ssize_t below(bitgen_t* source, uint32_t bits, uint32_t n) noexcept nogil:
    """A number of 0 … n - 1 from 32 random bits, and from more where these would favour some: Lemire's way."""
    # the upper half of the product is uniform once its lower half is not below `least`
    cdef uint64_t product = <uint64_t> bits * n
    cdef uint32_t least
    if <uint32_t> product < n:
        least = (<uint32_t> 0 - n) % n
        while <uint32_t> product < least:
            product = <uint64_t> <uint32_t> source.next_uint64(source.state) * n
    return <Py_ssize_t> (product >> 32)


cdef inline void swap(int64_t* places, Py_ssize_t i, Py_ssize_t k) noexcept nogil:
    cdef int64_t place = places[i]
    places[i] = places[k]
    places[k] = place


def shuffle(order, bit_generator, *, bint from_start=False):
    """Put int64 numbers, or with `from_start` those from 0 to n - 1, into a random order: Fisher and Yates's.

    What `Generator.shuffle` does, in a third of its time; `bit_generator` is one of NumPy's.

    References
    ----------
    Lemire (2019), Fast random integer generation in an interval, arXiv:1805.10941.
    """
    cdef bitgen_t* source = <bitgen_t*> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
    cdef int64_t* places = <int64_t*> cnp.PyArray_DATA(plain_array(order, "order", cnp.NPY_INT64, 1, True))
    cdef Py_ssize_t n = cnp.PyArray_DIM(<cnp.ndarray> order, 0)
    cdef Py_ssize_t i
    cdef uint64_t bits
    if n > 0xffffffff:
        raise ValueError(f"order must have fewer than 2**32 numbers, got {n}")
    with bit_generator.lock, nogil:
        if from_start:
            for i in range(n):
                places[i] = i
        for i in range(n - 1, 0, -2):
            bits = source.next_uint64(source.state)
            swap(places, i, below(source, <uint32_t> bits, <uint32_t> (i + 1)))
            if i > 1:
                swap(places, i - 1, below(source, <uint32_t> (bits >> 32), <uint32_t> i))


def linear_loss_and_grad(
    X, labels, cnp.ndarray parameters not None, str kind, double cap, double off, double on, row_weights,
):
    """Sums over all rows: of the losses, of the weights of rows that are right, and the gradient of the losses."""
    cdef Head head = head_of(kind, cap, off, on)
    cdef Table table
    cdef Workspace space
    cdef Py_ssize_t n_rows
    cdef Tally tally = nothing()
    cdef int type_number = type_of_table(parameters, "parameters", False)
    cdef cnp.ndarray gradient
    cdef environment saved
    describe(&table, parameters, X, labels, None, row_weights, &n_rows)
    _memory = workspace_for(&table, n_rows, type_number, &space)
    pad(parameters, space.parameters, space.width)
    gradient = new_array(2, cnp.PyArray_DIMS(parameters), type_number)
    memset(space.gradient, 0, (table.n_features + 1) * space.width * cnp.PyArray_ITEMSIZE(parameters))
    state = allow_threads(n_rows * table.n_features)
    saved = enter_environment()
    if type_number == cnp.NPY_FLOAT:
        add_gradient[float](&table, &head, &space, 0, n_rows, False, 0.0, &tally)
    else:
        add_gradient[double](&table, &head, &space, 0, n_rows, False, 0.0, &tally)
    leave_environment(saved)
    end_allow_threads(state)
    unpad(space.gradient, space.width, gradient)
    return sum_of_losses(&tally) / losses_of_row(&head, table.n_classes), tally.correct, gradient
