"""What the kernels take, refuse and leave alone, whatever they compute."""

import ctypes
import inspect
import itertools
import platform
import types
import warnings
from importlib import import_module

import numpy as np
import pytest
from kernel_cases import KERNELS, with_

import steelfast
from steelfast import reference

DTYPES = [np.float32, np.float64]
RNG = np.random.default_rng(70)

every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def kernels_with(*taken):
    return pytest.mark.parametrize("kernel", with_(*taken), ids=str)


def arguments_of(kernel, shape=(6, 5), dtype=np.float64):
    return kernel.arguments(shape, dtype, np.random.default_rng(71), 1.0)


def call(kernel, *arguments, **options):
    """Every result as a tuple, for every row or element."""
    results = kernel.function(*arguments, **kernel.each, **options)
    return results if isinstance(results, tuple) else (results,)


def assert_same_bits(results, expected):
    for result, wanted in zip(results, expected, strict=True):
        assert type(result) is type(wanted)
        assert result.dtype == wanted.dtype
        assert result.shape == wanted.shape
        assert result.tobytes() == wanted.tobytes()


def map_floats(convert, arguments):
    """Convert the arrays of numbers, but not the labels."""
    return tuple(a if np.asarray(a).dtype.kind in "iu" else convert(a) for a in arguments)


def parameter_names(kernel):
    return list(inspect.signature(kernel.reference).parameters)


# ---- the registry and the signatures

# the last is a model's objective, with checks and tests of its own
NOT_KERNELS = {
    "available_isas",
    "show_config",
    "get_include",
    "load_steel_plates",
    "fetch_steel_plates",
    "loss_and_grad",
}


def test_every_public_kernel_is_registered():
    public = {
        name
        for name in set(steelfast.__all__) - NOT_KERNELS
        if callable(getattr(steelfast, name)) and not inspect.isclass(getattr(steelfast, name))
    }
    assert public == KERNELS.keys()
    assert not any(isinstance(kernel.function, types.ModuleType) for kernel in KERNELS.values())


SOFTMAX_LOSS = (
    "(logits, targets, *, reduction='mean', class_weight=None, sample_weight=None, "
    "label_smoothing=0.0, ignore_index=None)"
)
SIGMOID_LOSS = "(logits, targets, *, reduction='mean', pos_weight=None)"
MSE_LOSS = "(logits, targets, *, reduction='mean')"


def and_out(signature):
    return signature[:-1] + ", out=None)"


SIGNATURES = {
    "softmax": "(logits, axis=-1, *, out=None)",
    "log_softmax": "(logits, axis=-1, *, out=None)",
    "logsumexp": "(logits, axis=-1, *, keepdims=False)",
    "softmax_jacobian": "(probs, *, out=None)",
    "softmax_vjp": "(probs, grad, axis=-1, *, out=None)",
    "sigmoid": "(x, *, out=None)",
    "log_sigmoid": "(x, *, out=None)",
    "softmax_cross_entropy": SOFTMAX_LOSS,
    "softmax_cross_entropy_grad": and_out(SOFTMAX_LOSS),
    "softmax_cross_entropy_value_and_grad": and_out(SOFTMAX_LOSS),
    "sigmoid_cross_entropy": SIGMOID_LOSS,
    "sigmoid_cross_entropy_grad": SIGMOID_LOSS,
    "sigmoid_cross_entropy_value_and_grad": SIGMOID_LOSS,
    "sigmoid_mse": MSE_LOSS,
    "sigmoid_mse_grad": MSE_LOSS,
    "sigmoid_mse_value_and_grad": MSE_LOSS,
    "mse": "(predictions, targets, *, reduction='mean')",
    "mse_grad": "(predictions, targets, *, reduction='mean')",
    "cross_entropy": "(p, q, *, axis=-1, base=None, eps=0.0)",
    "entropy": "(p, axis=-1, base=None)",
    "kl_divergence": "(p, q, *, axis=-1, base=None)",
}


@every_kernel
def test_signature(kernel):
    signature = inspect.signature(kernel.function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == SIGNATURES[kernel.name]
    assert kernel.takes == {"axis", "out", "reduction"} & signature.parameters.keys()


@every_kernel
def test_docstring(kernel):
    assert kernel.function.__doc__
    assert ">>>" in kernel.function.__doc__


# ---- what comes in: any shape, any layout, any dtype that is a number


def strided(array):
    buffer = np.empty([2 * length + 1 for length in array.shape], array.dtype)
    view = buffer[tuple([slice(1, None, 2)] * array.ndim)]
    view[...] = array
    return view


def shifted(array, n_bytes):
    buffer = np.empty(array.nbytes + n_bytes, np.uint8)
    view = buffer[n_bytes:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


class Subclass(np.ndarray):
    pass


def matrix(array):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.asmatrix(array) if array.ndim == 2 else array


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda array: np.flip(np.flip(array).copy()),
    "unaligned": lambda array: shifted(array, 1),
    "one element off": lambda array: shifted(array, array.itemsize),
    "read-only": read_only,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "matrix": matrix,
    "masked": lambda array: np.ma.masked_array(array, mask=np.zeros_like(array, bool)),
    "subclass": lambda array: array.view(Subclass),
}


@every_dtype
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5), (20, 40)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@every_kernel
def test_layout(kernel, layout, shape, dtype):
    arguments = arguments_of(kernel, shape, dtype)
    assert_same_bits(call(kernel, *map(layout, arguments)), call(kernel, *arguments))


@every_kernel
def test_memmap(kernel, tmp_path):
    def memmap(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        array.tofile(path)
        return np.memmap(path, array.dtype, mode="r", shape=array.shape)

    arguments = arguments_of(kernel)
    assert_same_bits(call(kernel, *map(memmap, arguments)), call(kernel, *arguments))


@pytest.mark.parametrize("repeated", ["rows", "columns"])
@every_kernel
def test_broadcast(kernel, repeated):
    arguments = arguments_of(kernel)
    part = (slice(1), slice(None)) if repeated == "rows" else (slice(None), slice(1))
    views = tuple(np.broadcast_to(a[part[: a.ndim]], a.shape) for a in arguments)
    copies = tuple(view.copy() for view in views)
    assert_same_bits(call(kernel, *views), call(kernel, *copies))


@pytest.mark.parametrize("sequence", [np.ndarray.tolist, lambda a: tuple(a.tolist())])
@every_kernel
def test_lists_and_tuples(kernel, sequence):
    arguments = arguments_of(kernel)
    assert_same_bits(call(kernel, *map(sequence, arguments)), call(kernel, *arguments))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (4, 1, 5), (2, 3, 4, 5)], ids=str)
@every_dtype
@every_kernel
def test_any_number_of_dimensions(kernel, dtype, shape):
    """As rows of a matrix, put into shape again."""
    arguments = arguments_of(kernel, shape, dtype)
    n_rows = int(np.prod(shape[:-1]))
    rows = tuple(a.reshape((n_rows, 5) if a.shape == shape else (n_rows,)) for a in arguments)
    for result, of_rows in zip(call(kernel, *arguments), call(kernel, *rows), strict=True):
        assert np.shape(result) == (*shape[:-1], *of_rows.shape[1:])
        np.testing.assert_array_equal(result, of_rows.reshape(np.shape(result)))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        (shape, axis)
        for shape in [(5,), (3, 5), (20, 70), (3, 4, 5), (3, 2, 4, 5)]
        for axis in range(-len(shape), len(shape))
    ],
    ids=str,
)
@every_dtype
@kernels_with("axis")
def test_axis(kernel, dtype, shape, axis):
    arguments = arguments_of(kernel, shape, dtype)
    (result,) = call(kernel, *arguments, axis=axis)
    lasts = (np.ascontiguousarray(np.moveaxis(argument, axis, -1)) for argument in arguments)
    (along_last,) = call(kernel, *lasts)
    if np.ndim(along_last) == len(shape):
        along_last = np.moveaxis(along_last, -1, axis)
    np.testing.assert_array_equal(result, along_last, strict=True)


@pytest.mark.parametrize("n_columns", [15, 16, 33])
@pytest.mark.parametrize("n_classes", [128, 129, 144, 257, 1000, 2049, 6200])
@every_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_columns_of_many_classes_have_the_bits_of_rows(name, dtype, n_classes, n_columns):
    """They are worked on 16 at a time, but for those that are not ordinary numbers."""
    function = getattr(steelfast, name)
    rng = np.random.default_rng(25)
    columns = rng.normal(0, 3, (n_classes, n_columns))
    columns = (columns - np.log(np.exp(columns).sum(axis=0))).astype(dtype)  # their log-sum-exps cancel
    dominated = columns + np.where(rng.random(columns.shape) < 1 / n_classes, dtype(60), dtype(0))
    special = columns.copy()
    special[0, 3], special[-1, 4], special[1, 5], special[:, 6] = np.inf, np.nan, 1e6, -np.inf
    for logits in (columns, dominated, special):
        rows = np.ascontiguousarray(logits.T)
        expected = function(rows).T
        np.testing.assert_array_equal(function(logits, axis=0), expected)
        if name != "logsumexp":
            in_place = logits.copy()
            function(in_place, axis=0, out=in_place)
            np.testing.assert_array_equal(in_place, expected)


@pytest.mark.parametrize("n_columns", [15, 16, 33])
@pytest.mark.parametrize("n_classes", [128, 129, 144, 257, 2049, 4100])
@every_dtype
def test_products_with_columns_of_many_classes_have_the_bits_of_rows(dtype, n_classes, n_columns):
    rng = np.random.default_rng(27)
    probs = rng.random((n_classes, n_columns)).astype(dtype)
    grad = rng.normal(0, 3, probs.shape).astype(dtype)
    grad[0, 3], grad[-1, 4] = np.inf, np.nan
    expected = steelfast.softmax_vjp(np.ascontiguousarray(probs.T), np.ascontiguousarray(grad.T)).T
    np.testing.assert_array_equal(steelfast.softmax_vjp(probs, grad, axis=0), expected)
    for k in range(2):
        arguments = probs.copy(), grad.copy()
        steelfast.softmax_vjp(*arguments, axis=0, out=arguments[k])
        np.testing.assert_array_equal(arguments[k], expected)


BUILDS_WITH_FMA = ["steelfast._isa.x86_64_v3", "steelfast._isa.x86_64_v4"]

has_both_builds_with_fma = pytest.mark.skipif(
    "x86-64-v4" not in steelfast.available_isas(), reason="the processor has no AVX-512"
)


def assert_both_builds_agree(kernel, *arguments, **options):
    module = kernel.function.__module__.rpartition(".")[2]
    functions = (getattr(import_module(f"{build}.{module}"), kernel.name) for build in BUILDS_WITH_FMA)
    results = [function(*arguments, **options) for function in functions]
    assert_same_bits(*(result if isinstance(result, tuple) else (result,) for result in results))


@has_both_builds_with_fma
@pytest.mark.parametrize("shape", [(35, 7), (500, 100), (20, 128), (6, 300), (2, 2100)], ids=str)
@every_dtype
@every_kernel
def test_both_builds_with_fma_give_the_same_bits(kernel, dtype, shape):
    if kernel.name == "softmax_jacobian":
        shape = (min(shape[0], 35), shape[1])
    arguments = arguments_of(kernel, shape, dtype)
    assert_both_builds_agree(kernel, *arguments, **kernel.each)
    assert_both_builds_agree(kernel, *arguments)  # the mean of the losses


@has_both_builds_with_fma
@pytest.mark.parametrize("n_classes", [7, 100, 128, 300])
@every_dtype
@pytest.mark.parametrize("name", [name for name in KERNELS if name.startswith("softmax_cross_entropy")])
def test_both_builds_with_fma_give_the_same_bits_with_a_target_on_every_class(name, dtype, n_classes):
    kernel = KERNELS[name]
    logits, labels = arguments_of(kernel, (500, n_classes), dtype)
    targets = np.where(RNG.random(logits.shape) < 0.2, dtype(0), reference.softmax(logits[::-1]))
    for arguments, options in (((logits, labels), {"label_smoothing": 0.1}), ((logits, targets), {})):
        assert_both_builds_agree(kernel, *arguments, **options)
        assert_both_builds_agree(kernel, *arguments, **kernel.each, **options)


def test_axis_may_be_a_numpy_integer():
    logits = RNG.normal(size=(3, 4))
    np.testing.assert_array_equal(steelfast.softmax(logits, np.int64(0)), steelfast.softmax(logits, axis=0))


def test_keepdims():
    logits = RNG.normal(size=(2, 3, 4))
    for axis in range(3):
        kept = steelfast.logsumexp(logits, axis, keepdims=True)
        np.testing.assert_array_equal(kept, np.expand_dims(steelfast.logsumexp(logits, axis), axis), strict=True)


@every_kernel
def test_float16_is_computed_in_float32(kernel):
    arguments = arguments_of(kernel, (6, 5), np.float16)
    results = call(kernel, *arguments)
    in_float32 = call(kernel, *map_floats(lambda a: a.astype(np.float32), arguments))
    assert_same_bits(results, tuple(result.astype(np.float16) for result in in_float32))


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@every_kernel
def test_integers_and_booleans_become_float64(kernel, dtype):
    # zeros and ones are logits, targets and probabilities alike
    arguments = map_floats(lambda a: (a > np.median(a)).astype(dtype), arguments_of(kernel))
    as_floats = tuple(a if a.ndim == 1 else a.astype(np.float64) for a in arguments)
    assert_same_bits(call(kernel, *arguments), call(kernel, *as_floats))


@pytest.mark.parametrize("dtype", ["c8", "c16", "O", "U4", "S4", "M8[s]", "m8[s]", "f4,f4"])
@every_kernel
def test_what_is_not_a_number_is_refused(kernel, dtype):
    for position in range(len(arguments_of(kernel))):
        arguments = list(arguments_of(kernel))
        arguments[position] = np.zeros(arguments[position].shape, dtype)
        with pytest.raises(TypeError, match=parameter_names(kernel)[position]):
            call(kernel, *arguments)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4"])
@pytest.mark.parametrize("kernel", [k for k in KERNELS.values() if "softmax_cross" in k.name], ids=str)
def test_labels_of_any_integer_type(kernel, dtype):
    logits, labels = arguments_of(kernel)
    assert_same_bits(call(kernel, logits, labels.astype(dtype)), call(kernel, logits, labels))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kernel", [k for k in with_("reduction") if not k.of], ids=str)
def test_what_is_reduced_is_a_scalar_of_the_dtype_of_the_logits(kernel, dtype):
    for reduction in "mean", "sum":
        results = kernel.function(*arguments_of(kernel, dtype=dtype), reduction=reduction)
        assert type(results[0] if kernel.made_of else results) is dtype


@pytest.mark.parametrize("name", ["logsumexp", "entropy", "cross_entropy", "kl_divergence"])
def test_one_row_gives_a_scalar(name):
    for dtype in DTYPES:
        assert type(call(KERNELS[name], *arguments_of(KERNELS[name], (5,), dtype))[0]) is dtype


def test_scalars():
    for dtype in DTYPES:
        for result in steelfast.sigmoid(dtype(0)), steelfast.sigmoid(np.array(0, dtype)):
            assert type(result) is dtype
            assert result == 0.5
        for kernel in KERNELS["mse"], KERNELS["mse_grad"], KERNELS["sigmoid_mse_value_and_grad"]:
            for result in call(kernel, np.array(1, dtype), np.array(3, dtype)):
                assert type(result) is dtype
    assert steelfast.log_sigmoid(0.0) == -np.log(2)
    assert steelfast.mse(1, 3) == 4
    assert steelfast.mse_grad(1, 3) == -4


@pytest.mark.parametrize("function", [steelfast.softmax, steelfast.log_softmax, steelfast.logsumexp, steelfast.entropy])
def test_a_scalar_has_no_axis(function):
    with pytest.raises(ValueError, match="axis"):
        function(1.0)


def test_targets_are_taken_to_the_dtype_of_the_logits():
    logits = RNG.normal(size=(4, 3)).astype(np.float32)
    soft = RNG.dirichlet(np.ones(3), 4)
    for kernel in with_("reduction"):
        if "softmax" in kernel.name or "sigmoid" in kernel.name:
            for targets in soft, soft.round().astype(int), soft.tolist():
                for result in call(kernel, logits, targets):
                    assert result.dtype == np.float32


def test_integers_of_the_shape_of_the_logits_are_probabilities():
    logits = RNG.normal(size=(4, 3))
    one_hot = np.eye(3, dtype=np.int64)[[0, 2, 1, 2]]
    np.testing.assert_array_equal(
        steelfast.softmax_cross_entropy(logits, one_hot),
        steelfast.softmax_cross_entropy(logits, one_hot.astype(float)),
    )


@every_kernel
def test_arguments_are_left_alone(kernel):
    arguments = arguments_of(kernel)
    copies = tuple(argument.copy() for argument in arguments)
    call(kernel, *arguments)
    for argument, copy in zip(arguments, copies, strict=True):
        np.testing.assert_array_equal(argument, copy)


@every_kernel
def test_results_are_new_arrays(kernel):
    arguments = arguments_of(kernel, (6, 1))
    for result in call(kernel, *arguments):
        assert not any(np.shares_memory(result, argument) for argument in arguments)
        assert result.flags.writeable
        assert result.flags.c_contiguous


# ---- nothing in it


@pytest.mark.parametrize("shape", [(0, 5), (3, 0, 5), (0, 100)], ids=str)
@every_dtype
@every_kernel
def test_no_rows(kernel, dtype, shape):
    arguments = arguments_of(kernel, shape, dtype)
    for result in call(kernel, *arguments):
        assert result.size == 0
        assert result.dtype == dtype
    if "reduction" in kernel.takes and not kernel.of:
        for reduction, nothing in [("mean", np.nan), ("sum", 0)]:
            value = kernel.function(*arguments, reduction=reduction)
            np.testing.assert_equal(value[0] if kernel.made_of else value, dtype(nothing))


@pytest.mark.parametrize("shape", [(3, 0), (0, 0), (0,)], ids=str)
@pytest.mark.parametrize(
    "kernel",
    [k for k in KERNELS.values() if k.family in ("rows", "distributions") or "softmax" in k.name],
    ids=str,
)
def test_no_classes(kernel, shape):
    arguments = [np.empty(shape) for _ in arguments_of(kernel)]
    if "softmax_cross" in kernel.name:
        arguments[1] = np.zeros(shape[:-1], int)
    with pytest.raises(ValueError, match="class"):
        call(kernel, *arguments)


def test_no_classes_along_another_axis():
    with pytest.raises(ValueError, match="class"):
        steelfast.softmax(np.empty((0, 3)), axis=0)


# ---- out


def result_for_out(kernel, *arguments):
    return call(kernel, *arguments)[-1]


@pytest.mark.parametrize("shape", [(6, 5), (5,), (2, 3, 5), (0, 5), (20, 100)], ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@kernels_with("out")
def test_out_is_returned(kernel, dtype, shape):
    arguments = arguments_of(kernel, shape, dtype)
    expected = call(kernel, *arguments)
    out = np.full_like(expected[-1], 7)
    results = call(kernel, *arguments, out=out)
    assert results[-1] is out
    assert_same_bits(results, expected)


@every_dtype
@kernels_with("out")
def test_what_needs_no_conversion_takes_the_short_way(kernel, dtype, monkeypatch):
    """Else a call on ten rows, which is 0.3 µs of work, takes 10 to 70."""
    arguments = arguments_of(kernel, (10, 7), dtype)
    out = np.empty_like(result_for_out(kernel, *arguments))

    def general(*_args, **_kwargs):
        raise AssertionError("the general path")

    module = inspect.getmodule(kernel.function)
    for name in "as_floating", "workspace":
        monkeypatch.setattr(module, name, general)
    assert kernel.function(*arguments) is not None
    for options in {"out": out}, {"out": out, **({"axis": 1} if "axis" in parameter_names(kernel) else {})}:
        result = kernel.function(*arguments, **options)
        assert (result[-1] if isinstance(result, tuple) else result) is out


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@every_dtype
@pytest.mark.parametrize("name", [name for name in KERNELS if name.startswith("softmax_cross_entropy")])
def test_weights_take_the_short_way_to_the_same_bits(name, dtype, reduction, monkeypatch):
    kernel = KERNELS[name].function
    logits, labels = arguments_of(KERNELS[name], (40, 7), dtype)
    weights = {
        "class_weight": RNG.uniform(0, 2, 7).astype(dtype),
        "sample_weight": RNG.uniform(0, 2, 40).astype(dtype),
        "label_smoothing": 0.1,
        "reduction": reduction,
    }
    expected = kernel(logits, labels.tolist(), **weights)  # no array: the long way
    module = inspect.getmodule(kernel)
    monkeypatch.setattr(module, "as_floating", None)
    results = kernel(logits, labels, **weights)
    if not isinstance(results, tuple):
        results, expected = (results,), (expected,)
    assert_same_bits(results, expected)


@pytest.mark.parametrize("form", ["int8", "uint16", "int32", "uint64", "longlong", ">i4", "column"])
@pytest.mark.parametrize("name", [name for name in KERNELS if name.startswith("softmax_cross_entropy")])
def test_labels_of_any_integers_take_the_short_way(name, form, monkeypatch):
    """Else they cost 23 µs a call more than int64, which is 0.6 µs."""
    kernel = KERNELS[name].function
    logits, labels = arguments_of(KERNELS[name], (40, 7), np.float64)
    given = np.stack([labels, -labels], axis=1)[:, 0] if form == "column" else labels.astype(form)
    expected = kernel(logits, labels)
    monkeypatch.setattr(inspect.getmodule(kernel), "as_floating", None)
    results = kernel(logits, given)
    if not isinstance(results, tuple):
        results, expected = (results,), (expected,)
    assert_same_bits(results, expected)


@pytest.mark.parametrize("label", [2**63, 2**64 - 1, 2**32])
def test_a_label_that_wraps_around_is_refused(label):
    with pytest.raises(ValueError, match=rf"^targets must lie in 0 … 1, got label {label} in row 1$"):
        steelfast.softmax_cross_entropy(np.eye(2), np.array([0, label], np.uint64))


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf, -np.inf, "longer"])
@pytest.mark.parametrize("argument", ["class_weight", "sample_weight"])
@every_dtype
def test_wrong_weights_are_refused_on_the_short_way_too(argument, dtype, wrong):
    weights = np.ones({"class_weight": 5, "sample_weight": 6}[argument] + (wrong == "longer"), dtype)
    if wrong != "longer":
        weights[3] = wrong
    out = np.full((6, 5), 7, dtype)
    with pytest.raises(ValueError, match=argument):
        steelfast.softmax_cross_entropy_grad(np.zeros((6, 5), dtype), np.arange(6) % 5, out=out, **{argument: weights})
    assert np.all(out == 7)


@pytest.mark.parametrize("argument", ["class_weight", "sample_weight"])
@every_dtype
def test_weights_of_the_other_precision(argument, dtype):
    logits, weights = RNG.normal(size=(5, 5)).astype(dtype), np.arange(1, 6)
    losses = [
        steelfast.softmax_cross_entropy(logits, np.arange(5), **{argument: weights.astype(each)})
        for each in (np.float32, np.float64)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("labels", [np.arange(10_001) % 2, np.full((10_001, 2), 0.5)], ids=["labels", "probabilities"])
def test_mean_of_many_small_weights_beside_a_large_one(labels):
    """The weight that the mean divides by is summed in twice the precision, as the losses are."""
    weights = np.ones(10_001)
    weights[0] = 2.0**54
    loss = steelfast.softmax_cross_entropy(np.zeros((10_001, 2)), labels, sample_weight=weights)
    assert abs(loss - np.log(2)) <= 2 * np.spacing(np.log(2))


@pytest.mark.parametrize("targets", [np.zeros(2, int), np.eye(2)[[0, 0]]], ids=["labels", "probabilities"])
def test_mean_of_zeros_with_weights_whose_sum_overflows(targets):
    logits, weights = np.array([[1000.0, 0.0]] * 2), np.full(2, np.finfo(float).max)
    assert steelfast.softmax_cross_entropy(logits, targets, sample_weight=weights) == 0.0


def out_fortran(shape, dtype):
    out = np.full(shape, 7, dtype, order="F")
    return out, out


def out_strided(shape, dtype):
    buffer = np.full((*shape[:-2], 2 * shape[-2], 3 * shape[-1]), 7, dtype)
    return buffer, buffer[..., ::2, 1::3]


def out_reversed(shape, dtype):
    buffer = np.full(shape, 7, dtype)
    return buffer, np.flip(buffer)


def out_inside(shape, dtype):
    buffer = np.full(int(np.prod(shape)) + 16, 7, dtype)
    return buffer, buffer[8:-8].reshape(shape)


@pytest.mark.parametrize("shape", [(6, 5), (10, 7), (16, 3), (17, 2), (17, 3), (20, 70)], ids=str)
@pytest.mark.parametrize("layout", [out_fortran, out_strided, out_reversed, out_inside])
@every_dtype
@kernels_with("out")
def test_out_of_any_layout(kernel, dtype, layout, shape):
    """And nothing is written beside it, not by the rows of a block that has hardly any after it either."""
    arguments = arguments_of(kernel, shape, dtype)
    expected = result_for_out(kernel, *arguments)
    buffer, out = layout(expected.shape, dtype)
    assert call(kernel, *arguments, out=out)[-1] is out
    np.testing.assert_array_equal(out, expected)
    out[...] = 7
    assert np.all(buffer == 7)


@kernels_with("out")
def test_out_may_be_a_memmap(kernel, tmp_path):
    arguments = arguments_of(kernel)
    expected = result_for_out(kernel, *arguments)
    out = np.memmap(tmp_path / "out", expected.dtype, mode="w+", shape=expected.shape)
    assert call(kernel, *arguments, out=out)[-1] is out
    np.testing.assert_array_equal(out, expected)


@every_dtype
@kernels_with("out", "axis")
def test_out_along_another_axis(kernel, dtype):
    arguments = arguments_of(kernel, (20, 30), dtype)
    expected = kernel.function(*arguments, axis=0)
    for out in np.empty((20, 30), dtype), np.empty((20, 30), dtype, order="F"):
        assert kernel.function(*arguments, axis=0, out=out) is out
        np.testing.assert_array_equal(out, expected)


@kernels_with("out")
def test_out_of_integers_is_float64(kernel):
    arguments = map_floats(np.rint, arguments_of(kernel))
    integers = map_floats(lambda a: a.astype(int), arguments)
    expected = result_for_out(kernel, *arguments)
    out = np.empty_like(expected)
    assert call(kernel, *integers, out=out)[-1] is out
    np.testing.assert_array_equal(out, expected)


WRONG_OUTS = {
    "longer": lambda right: np.full((right.shape[0] + 1, *right.shape[1:]), 7, right.dtype),
    "wider": lambda right: np.full((*right.shape[:-1], right.shape[-1] + 1), 7, right.dtype),
    "flat": lambda right: np.full(right.size, 7, right.dtype),
    "one more dimension": lambda right: np.full((1, *right.shape), 7, right.dtype),
    "other precision": lambda right: np.full(right.shape, 7, "f4" if right.itemsize == 8 else "f8"),
    "integers": lambda right: np.full(right.shape, 7),
    "read-only": lambda right: read_only(np.full_like(right, 7)),
    "list": lambda right: np.full_like(right, 7).tolist(),
    "text": lambda right: "out",
}


@pytest.mark.parametrize("wrong", WRONG_OUTS.values(), ids=WRONG_OUTS)
@every_dtype
@kernels_with("out")
def test_wrong_out_is_refused_before_it_is_written(kernel, dtype, wrong):
    arguments = arguments_of(kernel, (6, 5), dtype)
    out = wrong(result_for_out(kernel, *arguments))
    with pytest.raises((TypeError, ValueError), match=r"\bout\b"):
        call(kernel, *arguments, out=out)
    assert isinstance(out, str) or np.all(np.asarray(out) == 7)


@pytest.mark.parametrize("shape", [(6, 5), (40, 5), (20, 100), (7,)], ids=str)
@every_dtype
@kernels_with("out")
def test_out_may_be_the_input(kernel, dtype, shape):
    original = arguments_of(kernel, shape, dtype)
    expected = result_for_out(kernel, *original)
    for position, argument in enumerate(original):
        if argument.shape == expected.shape and argument.dtype == dtype:
            arguments = [argument.copy() for argument in original]
            out = arguments[position]
            assert call(kernel, *arguments, out=out)[-1] is out
            np.testing.assert_array_equal(out, expected)


@kernels_with("out", "axis")
def test_out_may_be_the_input_along_another_axis(kernel):
    for position in range(len(arguments_of(kernel))):
        arguments = list(arguments_of(kernel, (20, 30)))
        expected = kernel.function(*arguments, axis=0)
        np.testing.assert_array_equal(kernel.function(*arguments, axis=0, out=arguments[position]), expected)


@pytest.mark.parametrize("shape", [(6, 5), (40, 100)], ids=str)
@pytest.mark.parametrize("name", ["softmax_cross_entropy_grad", "softmax_cross_entropy_value_and_grad"])
def test_out_may_be_the_targets(name, shape):
    kernel = KERNELS[name]
    logits, probs = RNG.normal(size=shape), RNG.dirichlet(np.ones(shape[1]), shape[0])
    expected = result_for_out(kernel, logits, probs)
    np.testing.assert_array_equal(call(kernel, logits, probs, out=probs)[-1], expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("argument", ["targets", "class_weight", "sample_weight"])
@pytest.mark.parametrize("shape", [(6, 5), (40, 100)], ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_out_may_lie_on_any_argument(argument, shape, reduction, weighted):
    """The labels or weights are in the memory of the gradient: refused or right."""
    n_rows, n_classes = shape
    weights = {"class_weight": RNG.uniform(0.5, 2, n_classes), "sample_weight": RNG.uniform(0.5, 2, n_rows)}
    options = {"targets": RNG.integers(n_classes, size=n_rows), "reduction": reduction}
    options |= {name: weight for name, weight in weights.items() if weighted or name == argument}
    logits = RNG.normal(size=shape)
    expected = steelfast.softmax_cross_entropy_grad(logits, **options)
    for start in 0, -options[argument].size:
        out = np.empty(shape)
        part = out.reshape(-1)[start:][: options[argument].size].view(options[argument].dtype)
        part[...] = options[argument]
        try:
            steelfast.softmax_cross_entropy_grad(logits, **{**options, argument: part}, out=out)
        except ValueError:  # refused, with nothing written
            np.testing.assert_array_equal(part, options[argument])
        else:
            np.testing.assert_array_equal(out, expected)


def overlaps(shape, dtype):
    """Pairs of arrays of that shape on the same memory, in part or in another order."""
    size = int(np.prod(shape))
    for offset in (1, 3, shape[-1], size - 1, -1, -shape[-1], 1 - size):
        buffer = np.empty(size + abs(offset), dtype)
        first, second = buffer[: -abs(offset)], buffer[abs(offset) :]
        pair = (first, second) if offset > 0 else (second, first)
        yield tuple(part.reshape(shape) for part in pair)
    same = np.empty(shape, dtype)
    yield same, same.T
    yield same, same[::-1]
    yield same, same[:, ::-1]
    wide = np.empty((shape[0], 2 * shape[1]), dtype)
    yield wide[:, ::2], wide[:, : shape[1]]


@pytest.mark.parametrize("n", [6, 40])
@every_dtype
@kernels_with("out")
def test_partial_overlap_is_refused_or_right(kernel, dtype, n):
    original = arguments_of(kernel, (n, n), dtype)
    expected = result_for_out(kernel, *original)
    if kernel.name == "softmax_jacobian":
        out = np.full_like(expected, 7)
        assert_right_or_refused(kernel, original, 0, out.reshape(-1)[3 : 3 + n * n], out)
        return
    for position, argument in enumerate(original):
        if argument.shape == expected.shape:
            for place, out in overlaps((n, n), dtype):
                assert_right_or_refused(kernel, original, position, place, out)


def assert_right_or_refused(kernel, original, position, place, out):
    expected = result_for_out(kernel, *original)
    arguments = list(original)
    arguments[position] = place.reshape(original[position].shape)
    arguments[position][...] = original[position]
    try:
        call(kernel, *arguments, out=out)
    except ValueError:  # refused, with nothing written
        np.testing.assert_array_equal(arguments[position], original[position])
    else:
        np.testing.assert_array_equal(out, expected)


# ---- what is refused: the message names the argument, what came and what was wanted

LOGITS = np.zeros((4, 3))
LABELS = np.array([0, 1, 2, 0])
PROBS = np.full((4, 3), 1 / 3)
ONE_LONGER = np.zeros((5, 3))


def labelled(labels, **options):
    return "softmax_cross_entropy", (LOGITS, labels), options


def weighted(targets=LABELS, **options):
    return "softmax_cross_entropy", (LOGITS, targets), options


REFUSED = {
    "axis too large": ("softmax", (LOGITS, 2), {}, ValueError, ["axis", "2"]),
    "axis too small": ("log_softmax", (LOGITS, -3), {}, ValueError, ["axis", "-3", "2"]),
    "axis of logsumexp": ("logsumexp", (LOGITS, 2), {}, ValueError, ["axis", "2"]),
    "axis of vjp": ("softmax_vjp", (PROBS, PROBS, 5), {}, ValueError, ["axis", "5", "2"]),
    "axis of entropy": ("entropy", (PROBS, 5), {}, ValueError, ["axis", "5", "2"]),
    "axis of KL": ("kl_divergence", (PROBS, PROBS), {"axis": 5}, ValueError, ["axis", "5", "2"]),
    "float axis": ("softmax", (LOGITS, 1.0), {}, TypeError, ["axis", "integer"]),
    "negative float axis": ("log_softmax", (LOGITS, -1.0), {}, TypeError, ["axis", "integer"]),
    "float axis of logsumexp": ("logsumexp", (LOGITS, 1.0), {}, TypeError, ["axis", "integer"]),
    "text axis": ("softmax", (LOGITS, "0"), {}, TypeError, ["axis", "integer"]),
    "no axis": ("softmax", (LOGITS, None), {}, TypeError, ["axis", "integer"]),
    "two axes": ("logsumexp", (LOGITS, (0, 1)), {}, TypeError, ["axis", "integer"]),
    "Jacobian of a scalar": ("softmax_jacobian", (1.0,), {}, ValueError, ["probs"]),
    "loss of a scalar": (
        "softmax_cross_entropy",
        (1.0, 0),
        {},
        ValueError,
        ["logits", "one dimension", "a single number"],
    ),
    "label too large": (*labelled([0, 1, 3, 0]), ValueError, ["targets", "3", "row 2", "0", "2"]),
    "negative label": (*labelled([0, 1, 2, -1]), ValueError, ["targets", "-1", "row 3"]),
    "label for nothing": (*labelled([-100, 1, 2, 0]), ValueError, ["targets", "-100", "row 0"]),
    "label beyond 63 bits": (
        *labelled(np.array([0, 0, 0, 2**64 - 1], np.uint64)),
        ValueError,
        ["targets", "18446744073709551615", "row 3"],
    ),
    "label not ignored by its bits": (
        *labelled(np.array([0, 0, 0, 2**64 - 1], np.uint64), ignore_index=-1),
        ValueError,
        ["targets", "row 3"],
    ),
    "label beside an ignored one": (
        *labelled([0, -1, 3, 0], ignore_index=-1),
        ValueError,
        ["targets", "3", "row 2"],
    ),
    "float labels": (*labelled([0.0, 1.0, 2.0, 0.0]), TypeError, ["targets", "float64", "integer"]),
    "boolean labels": (*labelled([True] * 4), TypeError, ["targets", "bool", "integer"]),
    "text labels": (*labelled(["a", "b", "c", "d"]), TypeError, ["targets"]),
    "too many labels": (*labelled([0] * 5), ValueError, ["targets", "(5,)", "(4,)"]),
    "too few labels": (*labelled([0] * 3), ValueError, ["targets", "(3,)", "(4,)"]),
    "one label": (*labelled(0), ValueError, ["targets", "()", "(4,)"]),
    "column of labels": (*labelled([[0]] * 4), ValueError, ["targets", "(4, 1)", "(4,)"]),
    "ragged labels": (*labelled([[0, 1], [2]]), ValueError, ["targets", "lists of equal lengths", "[[0, 1], [2]]"]),
    "rows of probabilities": (*labelled(ONE_LONGER), ValueError, ["targets", "(5, 3)", "(4, 3)"]),
    "columns of probabilities": (
        *labelled(np.zeros((4, 2))),
        ValueError,
        ["targets", "(4, 2)", "(4, 3)"],
    ),
    "class_weight too short": (
        *weighted(class_weight=[1, 2]),
        ValueError,
        ["class_weight", "(2,)", "(3,)"],
    ),
    "class_weight a matrix": (
        *weighted(class_weight=PROBS),
        ValueError,
        ["class_weight", "(4, 3)", "(3,)"],
    ),
    "class_weight negative": (
        *weighted(class_weight=[1, -1, 1]),
        ValueError,
        ["class_weight", "-1"],
    ),
    "class_weight NaN": (
        *weighted(class_weight=[1, np.nan, 1]),
        ValueError,
        ["class_weight", "nan"],
    ),
    "class_weight complex": (*weighted(class_weight=[1, 1j, 1]), TypeError, ["class_weight"]),
    "class_weight text": (*weighted(class_weight="balanced"), TypeError, ["class_weight"]),
    "class_weight ragged": (
        *weighted(class_weight=[[1, 2], [3]]),
        ValueError,
        ["class_weight", "lists of equal lengths", "[[1, 2], [3]]"],
    ),
    "sample_weight too long": (
        *weighted(sample_weight=[1] * 5),
        ValueError,
        ["sample_weight", "(5,)", "(4,)"],
    ),
    "sample_weight a column": (
        *weighted(sample_weight=[[1]] * 4),
        ValueError,
        ["sample_weight", "(4, 1)", "(4,)"],
    ),
    "sample_weight negative": (
        *weighted(sample_weight=[1, 1, -1, 1]),
        ValueError,
        ["sample_weight", "-1"],
    ),
    "sample_weight NaN": (
        *weighted(sample_weight=[1, 1, np.nan, 1]),
        ValueError,
        ["sample_weight", "nan"],
    ),
    "smoothing negative": (
        *weighted(label_smoothing=-0.1),
        ValueError,
        ["label_smoothing", "-0.1", "0", "1"],
    ),
    "smoothing over one": (
        *weighted(label_smoothing=1.5),
        ValueError,
        ["label_smoothing", "1.5", "0", "1"],
    ),
    "smoothing NaN": (
        *weighted(label_smoothing=np.nan),
        ValueError,
        ["label_smoothing", "nan"],
    ),
    "smoothing text": (*weighted(label_smoothing="0.1"), TypeError, ["label_smoothing must be a number, got '0.1'"]),
    "smoothing of every row": (
        *weighted(label_smoothing=np.array([0.1, 0.2])),
        (TypeError, ValueError),
        ["label_smoothing"],
    ),
    "smoothing None": (*weighted(label_smoothing=None), TypeError, ["label_smoothing must be a number, got None"]),
    "ignore_index a float": (
        *weighted(ignore_index=1.0),
        TypeError,
        ["ignore_index", "integer"],
    ),
    "ignore_index text": (*weighted(ignore_index="1"), TypeError, ["ignore_index", "integer"]),
    "ignore_index of probabilities": (
        *weighted(PROBS, ignore_index=1),
        ValueError,
        ["ignore_index", "probabilities"],
    ),
    "pos_weight too short": (
        "sigmoid_cross_entropy",
        (LOGITS, PROBS),
        {"pos_weight": [1, 2]},
        ValueError,
        ["pos_weight", "(2,)", "(3,)"],
    ),
    "pos_weight negative": (
        "sigmoid_cross_entropy",
        (LOGITS, PROBS),
        {"pos_weight": -1.0},
        ValueError,
        ["pos_weight", "-1"],
    ),
    "pos_weight NaN": (
        "sigmoid_cross_entropy",
        (LOGITS, PROBS),
        {"pos_weight": np.nan},
        ValueError,
        ["pos_weight", "nan"],
    ),
    "grad of other rows": (
        "softmax_vjp",
        (PROBS, ONE_LONGER),
        {},
        ValueError,
        ["grad", "(5, 3)", "(4, 3)"],
    ),
    **{
        f"targets of {name}": (
            name,
            (LOGITS, ONE_LONGER),
            {},
            ValueError,
            ["targets", "(5, 3)", "(4, 3)"],
        )
        for name in ["sigmoid_cross_entropy", "sigmoid_mse", "mse"]
    },
    **{
        f"q of {name}": (
            name,
            (PROBS, ONE_LONGER),
            {},
            ValueError,
            ["q", "(5, 3)", "(4, 3)"],
        )
        for name in ["cross_entropy", "kl_divergence"]
    },
    **{
        f"base {base}": (
            "entropy",
            (PROBS,),
            {"base": base},
            ValueError,
            [f"base must be positive, finite and not 1, got {float(base)}"],
        )
        for base in [0, -2, 1, np.nan, np.inf]
    },
    "base a text": ("entropy", (PROBS,), {"base": "e"}, TypeError, ["base must be a number, got 'e'"]),
    "base beyond doubles": ("entropy", (PROBS,), {"base": 10**400}, TypeError, ["base must be a number, got 1000"]),
    "base of cross-entropy": (
        "cross_entropy",
        (PROBS, PROBS),
        {"base": 1},
        ValueError,
        ["base", "1"],
    ),
    "base of KL": ("kl_divergence", (PROBS, PROBS), {"base": 0}, ValueError, ["base", "0"]),
}


def assert_refused(function, arguments, options, error, fragments):
    with pytest.raises(error) as raised:
        function(*arguments, **options)
    message = str(raised.value)
    missing = [fragment for fragment in fragments if fragment not in message]
    assert not missing, message
    assert "\n" not in message


@pytest.mark.parametrize(("name", "arguments", "options", "error", "fragments"), REFUSED.values(), ids=REFUSED)
def test_refused(name, arguments, options, error, fragments):
    """By the value, by the gradient and by both in one."""
    for kernel in KERNELS.values():
        if name in (kernel.name, kernel.of, (kernel.made_of or [None])[0]):
            assert_refused(kernel.function, arguments, options, error, fragments)


@pytest.mark.parametrize("reduction", ["average", "Mean", "", b"mean", None, 1])
@kernels_with("reduction")
def test_unknown_reduction(kernel, reduction):
    assert_refused(
        kernel.function,
        arguments_of(kernel),
        {"reduction": reduction},
        ValueError if isinstance(reduction, str) else (TypeError, ValueError),
        ["reduction", "none", "mean", "sum", repr(reduction)],
    )


@pytest.mark.parametrize(("name", "arguments", "options", "error", "fragments"), REFUSED.values(), ids=REFUSED)
def test_refused_before_anything_is_written(name, arguments, options, error, fragments):
    for kernel in with_("out"):
        if name in (kernel.name, kernel.of, (kernel.made_of or [None])[0]):
            out = np.full(np.shape(arguments[0]), 7.0)
            with pytest.raises(error):
                kernel.function(*arguments, **options, out=out)
            assert np.all(out == 7)


@pytest.mark.parametrize("n_rows", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("n_classes", [1, 2, 7, 100])
def test_a_wrong_label_is_found_wherever_it_stands(n_rows, n_classes):
    logits = np.zeros((n_rows, n_classes))
    for row, label in itertools.product({0, n_rows // 2, n_rows - 1}, [-1, n_classes, 2**40]):
        labels = np.zeros(n_rows, np.int64)
        labels[row] = label
        for function in (
            steelfast.softmax_cross_entropy,
            steelfast.softmax_cross_entropy_grad,
            steelfast.softmax_cross_entropy_value_and_grad,
        ):
            with pytest.raises(ValueError, match=rf"{label}\b.*\brow {row}\b|row {row}\b.*{label}\b"):
                function(logits, labels)


# ---- what is allowed at the edges


def test_ends_of_label_smoothing():
    logits = RNG.normal(size=(4, 3))
    for smoothing in 0, 1, np.float32(0.5):
        assert np.isfinite(steelfast.softmax_cross_entropy(logits, LABELS, label_smoothing=smoothing))


def test_weights_may_be_lists_and_integers():
    logits = RNG.normal(size=(4, 3))
    np.testing.assert_array_equal(
        steelfast.softmax_cross_entropy(logits, LABELS, class_weight=[1, 2, 3], sample_weight=(1, 0, 2, 1)),
        steelfast.softmax_cross_entropy(
            logits,
            LABELS,
            class_weight=np.array([1.0, 2, 3]),
            sample_weight=np.array([1.0, 0, 2, 1]),
        ),
    )


@pytest.mark.parametrize("ignored", [-100, 1, 7, np.int64(1)])
def test_an_ignored_row_costs_nothing(ignored):
    logits = RNG.normal(size=(4, 3))
    labels = np.array([0, ignored, 2, ignored])
    options = {"ignore_index": ignored}
    losses, grad = steelfast.softmax_cross_entropy_value_and_grad(logits, labels, reduction="none", **options)
    assert not losses[[1, 3]].any()
    assert not grad[[1, 3]].any()
    kept = [0, 2]
    np.testing.assert_array_equal(
        steelfast.softmax_cross_entropy(logits, labels, **options),
        steelfast.softmax_cross_entropy(logits[kept], labels[kept]),
    )


@every_dtype
def test_a_mean_over_nothing_is_nan_and_its_gradient_zero(dtype):
    logits = RNG.normal(size=(4, 3)).astype(dtype)
    value, grad = steelfast.softmax_cross_entropy_value_and_grad(logits, [1, 1, 1, 1], ignore_index=1)
    assert np.isnan(value)
    assert type(value) is dtype
    np.testing.assert_array_equal(grad, np.zeros((4, 3), dtype), strict=True)


def test_weights_that_are_all_zero():
    value, grad = steelfast.softmax_cross_entropy_value_and_grad(LOGITS, LABELS, sample_weight=np.zeros(4))
    assert np.isnan(value)
    assert grad.shape == LOGITS.shape


@pytest.mark.parametrize("n_classes", [3, 200])
@every_dtype
def test_a_row_without_weight_costs_nothing_unless_it_is_undefined(dtype, n_classes):
    """As its gradient; and with labels as with targets on every class."""
    logits = np.zeros((4, n_classes), dtype)
    logits[0, 0] = np.nan
    logits[1] = -np.inf
    logits[2, 0] = -np.inf
    for options in {}, {"label_smoothing": 0.1}:
        losses, grad = steelfast.softmax_cross_entropy_value_and_grad(
            logits, [0] * 4, sample_weight=[0.0] * 4, reduction="none", **options
        )
        np.testing.assert_array_equal(losses, [np.nan, np.nan, 0, 0])
        np.testing.assert_array_equal(np.isnan(grad).any(axis=1), [True, True, False, False])
    losses, grad = steelfast.sigmoid_cross_entropy_value_and_grad(
        np.array([np.nan, -np.inf], dtype), [1, 1], reduction="none", pos_weight=0.0
    )
    np.testing.assert_array_equal(losses, [np.nan, 0])
    np.testing.assert_array_equal(np.isnan(grad), [True, False])


@every_dtype
def test_what_is_no_logarithm_shows_where_nothing_is_expected_of_it(dtype):
    p = np.array([0, 1], dtype)
    for name in "cross_entropy", "kl_divergence":
        for first, expected in (np.nan, np.nan), (-1, np.nan), (0, 0), (0.5, 0), (np.inf, 0):
            result = getattr(steelfast, name)(p, np.array([first, 1], dtype))
            np.testing.assert_array_equal(result, dtype(expected))


@pytest.mark.parametrize(("smoothing", "n_classes"), [(0.999, 1000), (0.99, 100), (0.9, 10)])
def test_smoothing_is_not_rounded_before_it_is_taken_from_1(smoothing, n_classes):
    logits = np.zeros((1, n_classes), np.float32)
    logits[0, 0] = -1e4
    loss, grad = steelfast.softmax_cross_entropy_value_and_grad(logits, [0], label_smoothing=smoothing)
    exact, exact_grad = steelfast.softmax_cross_entropy_value_and_grad(
        logits.astype(np.float64), [0], label_smoothing=smoothing
    )
    np.testing.assert_allclose(loss, exact, rtol=3e-7)
    np.testing.assert_allclose(grad, exact_grad, rtol=0, atol=2.4e-7 * np.abs(exact_grad).max())


def test_a_loss_of_zero_is_not_negative():
    """0, not −0: it is printed."""
    certain, one_hot = np.array([[1e4, 0.0]]), np.array([[1.0, 0.0]])
    for zero in (
        *steelfast.softmax_cross_entropy(certain, [0], reduction="none"),
        steelfast.softmax_cross_entropy(certain, [0]),
        steelfast.softmax_cross_entropy(certain, one_hot),
        steelfast.sigmoid_cross_entropy(certain[:, :1], [[1.0]]),
        *steelfast.entropy(one_hot),
        *steelfast.cross_entropy(one_hot, one_hot),
        *steelfast.kl_divergence(one_hot, one_hot),
    ):
        assert zero == 0
        assert not np.signbit(zero)


# ---- no warnings, and no status flags of the processor left set

# warnings are errors in this suite
AWKWARD = [0.0, -0.0, 1.0, -1.0, 1e4, -1e4, 1e30, -1e30, 1e-30, -1e-30, 1e-42, -100.0, 100.0]
AWKWARD_PROBS = [0.0, 0.0, 1.0, 0.5, 1e-42, 1e-30]
FLAGS = {"invalid": 1, "divide by zero": 4, "overflow": 8, "underflow": 16}  # of x86

every_float = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])


@np.errstate(over="ignore", under="ignore")
def awkward_arguments(kernel, dtype, n_classes):
    """Rows with everything in them; distributions with zeros."""
    rng = np.random.default_rng(72)
    shape = (40, n_classes)
    arguments = list(kernel.arguments(shape, dtype, rng, 1.0))
    if parameter_names(kernel)[0] in ("probs", "p"):
        return [rng.choice(AWKWARD_PROBS, shape).astype(dtype) for _ in arguments]
    logits = rng.choice(AWKWARD, shape)
    logits[::3, 0] = rng.choice([np.nan, np.inf, -np.inf], len(logits[::3]))
    return [logits.astype(dtype), *arguments[1:]]


@pytest.mark.parametrize("n_classes", [3, 100])
@every_float
@every_kernel
def test_no_warning(kernel, dtype, n_classes):
    arguments = awkward_arguments(kernel, dtype, n_classes)
    with np.errstate(all="raise"):
        call(kernel, *arguments)
        kernel.function(*arguments)


@pytest.fixture(scope="module")
def libm():
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        pytest.skip("the flags are read through glibc on x86-64")
    return ctypes.CDLL("libm.so.6")


def flags_left(libm, function):
    libm.feclearexcept(sum(FLAGS.values()))
    function()
    left = libm.fetestexcept(sum(FLAGS.values()))
    libm.feclearexcept(sum(FLAGS.values()))
    return {name for name, flag in FLAGS.items() if left & flag}


def test_flags_are_seen(libm):
    assert flags_left(libm, lambda: libm.feraiseexcept(FLAGS["overflow"])) == {"overflow"}


@pytest.mark.parametrize("n_classes", [3, 100])
@every_float
@every_kernel
def test_no_flag_is_left_set(libm, kernel, dtype, n_classes):
    arguments = awkward_arguments(kernel, dtype, n_classes)
    assert not flags_left(libm, lambda: kernel.function(*arguments, **kernel.each))
    assert not flags_left(libm, lambda: kernel.function(*arguments))


@pytest.fixture
def flushing(libm):
    """The process takes subnormal numbers for 0, as libraries that were compiled with -Ofast have it do."""
    environment = (ctypes.c_uint32 * 8)()
    libm.fegetenv(environment)
    kept = environment[7]
    environment[7] |= 0x8040  # flush to zero, denormals are zeros
    libm.fesetenv(environment)
    yield
    environment[7] = kept
    libm.fesetenv(environment)


@pytest.mark.parametrize("n_classes", [3, 100])
@every_dtype
@every_kernel
def test_subnormal_numbers_are_kept_in_a_process_that_flushes_them(request, kernel, dtype, n_classes):
    arguments = awkward_arguments(kernel, dtype, n_classes)
    expected = [call(kernel, *arguments), kernel.function(*arguments)]
    request.getfixturevalue("flushing")
    results = [call(kernel, *arguments), kernel.function(*arguments)]
    for result, wanted in zip(results, expected, strict=True):
        as_tuple = result if isinstance(result, tuple) else (result,)
        assert_same_bits(as_tuple, wanted if isinstance(wanted, tuple) else (wanted,))


SUBNORMAL = np.array([2, 70_000], np.int32).view(np.float32)


@pytest.mark.usefixtures("flushing")
def test_a_step_keeps_subnormal_numbers_in_a_process_that_flushes_them():
    parameter = SUBNORMAL.copy()
    steelfast.optimizers.SGD(0.5).update(parameter, np.zeros(2, np.float32))
    assert parameter.tobytes() == SUBNORMAL.tobytes()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.usefixtures("flushing")
def test_a_reduced_loss_may_be_subnormal_in_a_process_that_flushes_such(reduction):
    loss = steelfast.softmax_cross_entropy(np.array([[100.0, 0.0]], np.float32), [0], reduction=reduction)
    assert loss.view(np.int32).item() in (26, 27)  # exp(-100) is 26.5 times the smallest


@every_dtype
@pytest.mark.parametrize("optimizer", ["SGD", "Momentum", "RMSProp", "Adam"])
def test_no_flag_is_left_set_by_a_step(libm, optimizer, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    parameter, gradient = np.array([1.0, tiny, 1.0], dtype), np.array([np.inf, 3 * tiny, np.nan], dtype)
    step = getattr(steelfast.optimizers, optimizer)(0.5).update
    step(parameter, gradient)
    assert not flags_left(libm, lambda: step(parameter, gradient))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("n_classes", [4, 200])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_ignored_labels_of_every_integer_dtype(dtype, n_classes, smoothing):
    """The mark of an ignored row must survive the label's dtype."""
    logits = np.arange(3.0 * n_classes).reshape(3, n_classes) % 7
    options = {"reduction": "none", "ignore_index": 1, "label_smoothing": smoothing}
    losses, grad = steelfast.softmax_cross_entropy_value_and_grad(logits, np.array([0, 1, 2], dtype), **options)
    assert losses[1] == 0
    assert not grad[1].any()
    kept = steelfast.softmax_cross_entropy(
        logits[[0, 2]], np.array([0, 2]), reduction="none", label_smoothing=smoothing
    )
    np.testing.assert_array_equal(losses[[0, 2]], kept)


def test_a_small_positive_weight_keeps_its_digits():
    loss, grad = steelfast.sigmoid_cross_entropy_value_and_grad([0.0], [1.0], pos_weight=1e-20)
    np.testing.assert_allclose([loss, grad[0]], [1e-20 * np.log(2), -0.5e-20], rtol=1e-15)


@pytest.mark.parametrize("n_classes", [7, 200])
def test_saturated_one_hot_targets_with_weights_are_exact_as_labels_are(n_classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, 40)
    logits = np.eye(n_classes, dtype=np.float32)[labels] * 60
    options = {"sample_weight": rng.random(40)}
    np.testing.assert_array_equal(
        steelfast.softmax_cross_entropy_grad(logits, np.eye(n_classes, dtype=np.float32)[labels], **options),
        steelfast.softmax_cross_entropy_grad(logits, labels, **options),
    )


def test_reduction_that_is_no_text_is_named():
    with pytest.raises(ValueError, match="reduction must be 'none', 'mean' or 'sum'"):
        steelfast.mse([1.0], [1.0], reduction=np.array(["mean", "sum"]))
