"""Every case of onnx's tests of backends for the operations of convolution networks, and every
model that PyTorch's exporter wrote for them: read, run, compared; or listed with the reason.

docs/onnx.md has the list; python tests/interop/test_onnx_nodes.py writes it anew.
"""

import textwrap
from pathlib import Path

import onnx_cases
import pytest

# Parts of the error, and the names (without "test_") of the cases that end in it. A case that
# starts to pass fails the test too.
UNSUPPORTED = {
    # dtypes that programs do not have
    "expected one of float32, float64, int32, int64, bool; got ": (
        "add_int16 add_int8 add_uint16 add_uint32 add_uint64 add_uint8 cast_BFLOAT16_to_FLOAT "
        "cast_DOUBLE_to_FLOAT16 cast_FLOAT16_to_DOUBLE cast_FLOAT16_to_FLOAT "
        "cast_FLOAT16_to_FLOAT4E2M1 cast_FLOAT16_to_FLOAT8E4M3FN "
        "cast_FLOAT16_to_FLOAT8E4M3FNUZ cast_FLOAT16_to_FLOAT8E5M2 "
        "cast_FLOAT16_to_FLOAT8E5M2FNUZ cast_FLOAT16_to_INT2 cast_FLOAT16_to_INT4 "
        "cast_FLOAT16_to_UINT2 cast_FLOAT16_to_UINT4 cast_FLOAT4E2M1_to_FLOAT "
        "cast_FLOAT4E2M1_to_FLOAT16 cast_FLOAT8E4M3FNUZ_to_FLOAT "
        "cast_FLOAT8E4M3FNUZ_to_FLOAT16 cast_FLOAT8E4M3FN_to_FLOAT "
        "cast_FLOAT8E4M3FN_to_FLOAT16 cast_FLOAT8E5M2FNUZ_to_FLOAT "
        "cast_FLOAT8E5M2FNUZ_to_FLOAT16 cast_FLOAT8E5M2_to_FLOAT cast_FLOAT8E5M2_to_FLOAT16 "
        "cast_FLOAT_to_BFLOAT16 cast_FLOAT_to_FLOAT16 cast_FLOAT_to_FLOAT4E2M1 "
        "cast_FLOAT_to_FLOAT8E4M3FN cast_FLOAT_to_FLOAT8E4M3FNUZ cast_FLOAT_to_FLOAT8E5M2 "
        "cast_FLOAT_to_FLOAT8E5M2FNUZ cast_FLOAT_to_INT2 cast_FLOAT_to_INT4 "
        "cast_FLOAT_to_UINT2 cast_FLOAT_to_UINT4 cast_INT2_to_FLOAT cast_INT2_to_FLOAT16 "
        "cast_INT2_to_INT8 cast_INT4_to_FLOAT cast_INT4_to_FLOAT16 cast_INT4_to_INT8 "
        "cast_UINT2_to_FLOAT cast_UINT2_to_FLOAT16 cast_UINT2_to_UINT8 cast_UINT4_to_FLOAT "
        "cast_UINT4_to_FLOAT16 cast_UINT4_to_UINT8 cast_e8m0_FLOAT16_to_FLOAT8E8M0 "
        "cast_e8m0_FLOAT8E8M0_to_FLOAT cast_e8m0_FLOAT8E8M0_to_FLOAT16 "
        "cast_e8m0_FLOAT_to_FLOAT8E8M0 cast_no_saturate_FLOAT16_to_FLOAT8E4M3FN "
        "cast_no_saturate_FLOAT16_to_FLOAT8E4M3FNUZ cast_no_saturate_FLOAT16_to_FLOAT8E5M2 "
        "cast_no_saturate_FLOAT16_to_FLOAT8E5M2FNUZ cast_no_saturate_FLOAT_to_FLOAT8E4M3FN "
        "cast_no_saturate_FLOAT_to_FLOAT8E4M3FNUZ cast_no_saturate_FLOAT_to_FLOAT8E5M2 "
        "cast_no_saturate_FLOAT_to_FLOAT8E5M2FNUZ celu_bfloat16 celu_bfloat16_expanded "
        "celu_float16 celu_float16_expanded clip_default_int8_inbounds "
        "clip_default_int8_inbounds_expanded clip_default_int8_max "
        "clip_default_int8_max_expanded clip_default_int8_min clip_default_int8_min_expanded "
        "div_int16 div_int8 div_uint16 div_uint32 div_uint64 div_uint8 equal_int16 equal_int8 "
        "equal_string equal_string_broadcast equal_uint16 equal_uint32 equal_uint64 "
        "equal_uint8 greater_int16 greater_int8 greater_uint16 greater_uint32 greater_uint64 "
        "greater_uint8 less_int16 less_int8 less_uint16 less_uint32 less_uint64 less_uint8 "
        "max_float16 max_int16 max_int8 max_uint16 max_uint32 max_uint64 max_uint8 "
        "maxpool_2d_uint8 min_float16 min_int16 min_int8 min_uint16 min_uint32 min_uint64 "
        "min_uint8 mod_float16_mixed_sign_fmod_0 mod_float_edge_cases_fmod_0_float16 "
        "mod_mixed_sign_float16 mod_mixed_sign_int16 mod_mixed_sign_int8 mod_uint16 "
        "mod_uint32 mod_uint64 mod_uint8 mul_int16 mul_int8 mul_uint16 mul_uint32 mul_uint64 "
        "mul_uint8 pow_types_float32_uint32 pow_types_float32_uint64 sub_int16 sub_int8 "
        "sub_uint16 sub_uint32 sub_uint64 sub_uint8 "
    ),
    "expected 'nearest'; got mode 'linear'": (
        "resize_downsample_scales_linear resize_downsample_scales_linear_align_corners "
        "resize_downsample_scales_linear_antialias "
        "resize_downsample_scales_linear_half_pixel_symmetric "
        "resize_downsample_sizes_linear_antialias "
        "resize_downsample_sizes_linear_pytorch_half_pixel resize_tf_crop_and_resize "
        "resize_tf_crop_and_resize_axes_2_3 resize_tf_crop_and_resize_axes_3_2 "
        "resize_tf_crop_and_resize_extrapolation_value resize_upsample_scales_linear "
        "resize_upsample_scales_linear_align_corners "
        "resize_upsample_scales_linear_half_pixel_symmetric "
    ),
    "expected 'nearest'; got mode 'cubic'": (
        "resize_downsample_scales_cubic resize_downsample_scales_cubic_A_n0p5_exclude_outside "
        "resize_downsample_scales_cubic_align_corners "
        "resize_downsample_scales_cubic_antialias resize_downsample_sizes_cubic "
        "resize_downsample_sizes_cubic_antialias resize_upsample_scales_cubic "
        "resize_upsample_scales_cubic_A_n0p5_exclude_outside "
        "resize_upsample_scales_cubic_align_corners resize_upsample_scales_cubic_asymmetric "
        "resize_upsample_sizes_cubic "
    ),
    "expected the first of equal ones; got select_last_index": (
        "argmax_default_axis_example_select_last_index "
        "argmax_default_axis_random_select_last_index "
        "argmax_keepdims_example_select_last_index argmax_keepdims_random_select_last_index "
        "argmax_negative_axis_keepdims_example_select_last_index "
        "argmax_negative_axis_keepdims_random_select_last_index "
        "argmax_no_keepdims_example_select_last_index "
        "argmax_no_keepdims_random_select_last_index "
        "argmin_default_axis_example_select_last_index "
        "argmin_default_axis_random_select_last_index "
        "argmin_keepdims_example_select_last_index argmin_keepdims_random_select_last_index "
        "argmin_negative_axis_keepdims_example_select_last_index "
        "argmin_negative_axis_keepdims_random_select_last_index "
        "argmin_no_keepdims_example_select_last_index "
        "argmin_no_keepdims_random_select_last_index "
    ),
    # inputs without elements
    "expected sizes above 0 or None": (
        "reduce_max_empty_set reduce_max_empty_set_bool reduce_min_empty_set "
        "reduce_sum_empty_set reduce_sum_empty_set_non_reduced_axis_zero "
        "reshape_allowzero_reordered split_zero_size_splits_opset13 "
        "split_zero_size_splits_opset18 "
    ),
    # positions of maxima
    "expected outputs not in use; got the output 'z'": (
        "maxpool_with_argmax_2d_precomputed_pads maxpool_with_argmax_2d_precomputed_strides "
    ),
    "got training_mode or spatial=0": (
        "batchnorm_epsilon_training_mode batchnorm_example_training_mode "
    ),
    # sequences and optionals
    "expected a tensor of known rank; got no shape": ("identity_opt identity_sequence "),
    "expected opset 7 or newer; got opset 1": ("not_2d not_3d not_4d "),
}

# What docs/onnx.md says of each of these parts.
REASONS = {
    "expected one of float32": "Numbers that programs here do not have: they compute with float32, "
    "float64, int32, int64 and bool",
    "mode 'linear'": "Resize between positions, linearly",
    "mode 'cubic'": "Resize between positions, by cubic curves",
    "select_last_index": "The last of several equal extreme elements (the first is given)",
    "expected sizes above 0": "Tensors without elements",
    "the output 'z'": "MaxPool that also gives the places of the maxima",
    "training_mode": "BatchNormalization in training, which files of trained models do not have",
    "got no shape": "Sequences and optional values in place of tensors",
    "got opset 1": "Opsets before 6; onnx.version_converter makes newer ones of them",
}
PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"


def page():
    """The table above for people, as docs/onnx.md."""
    text = [
        "# ONNX cases that isoconv does not read",
        "Of onnx's own test cases for the operations of convolution networks, these end in an "
        "error that says so. All others are read, run and compared in the tests. "
        f"`python tests/interop/{Path(__file__).name}` writes this page.",
    ]
    for part, names in UNSUPPORTED.items():
        (reason,) = (reason for key, reason in REASONS.items() if key in part)
        text += [f"## {reason}", ", ".join(f"`{name}`" for name in names.split()) + "."]
    wrapped = ("\n".join(textwrap.wrap(each, 100, break_on_hyphens=False)) for each in text)
    return "\n\n".join(wrapped) + "\n"


def outcome(run):
    """None, or the error of a case on one line."""
    try:
        run()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


def expected():
    return {
        f"test_{name}": reason for reason, names in UNSUPPORTED.items() for name in names.split()
    }


def wrong(found, known):
    """The cases whose outcome is not what the table says."""
    return {
        name: error
        for name, error in found.items()
        if (known[name] not in (error or "") if name in known else error is not None)
    }


def run_all(case):
    for model, inputs, outputs in onnx_cases.variants(case):
        onnx_cases.hold(model, inputs, outputs, max(case.rtol, 1e-3), max(case.atol, 1e-6))


def test_node_cases_pass_or_are_listed():
    cases = onnx_cases.node_cases()
    found = {name: outcome(lambda case=case: run_all(case)) for name, case in cases.items()}
    assert wrong(found, expected()) == {}
    assert set(expected()) <= set(cases)
    assert len(cases) > 700


def test_models_of_pytorchs_exporter_pass():
    cases = list(onnx_cases.converted_cases())
    found = {name: outcome(lambda case=case: onnx_cases.hold(*case)) for name, *case in cases}
    assert wrong(found, {}) == {}
    assert len(cases) > 100


def test_the_page_lists_them():
    assert PAGE.read_text() == page()


@pytest.mark.parametrize(
    ("found", "known"),
    [
        ({"test_a": "an error"}, {}),
        ({"test_a": None}, {"test_a": "an error"}),
        ({"test_a": "another error"}, {"test_a": "an error: this"}),
    ],
)
def test_regressions_are_not_hidden(found, known):
    assert wrong(found, known) == found


def test_wrong_values_are_found():
    case = onnx_cases.node_cases()["test_conv_with_strides_padding"]
    (inputs, outputs), *_ = case.data_sets
    with pytest.raises(AssertionError):
        onnx_cases.hold(case.model, inputs, [outputs[0] * 1.01])


if __name__ == "__main__":
    PAGE.write_text(page())
