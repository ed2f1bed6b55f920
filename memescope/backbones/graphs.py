"""ONNX graphs of the packaged encoders, built from plain numpy weights: a BERT encoder and EfficientNet-lite.

Weights are stored small and cast to float32 inside the graph; ONNX Runtime folds the cast once when it loads.
Matrices of the BERT encoder are int8 with a scale for each column and 32 rows, its word table int8 with a scale for
each row; convolutions are float16. All arithmetic is float32, so a text's numbers do not depend on its batch mates
(int8 arithmetic would make them: activations get one scale for the whole batch, and a rounding may flip with the order
of a sum).

Shape letters: `b` batch, `t` tokens, `d` width, `h w` grid rows and columns, `c` channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

OPSET = 17
IR_VERSION = 9
GROUP = 32
Storage = Literal["float32", "float16", "int8"]


class Graph:
    """Collects nodes and weights of one ONNX graph; every method returns the name of the value it makes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def op(self, kind: str, *inputs: str, domain: str = "", name: str | None = None, **attributes: Any) -> str:
        """One node with one output."""
        from onnx import helper

        out = name or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], domain=domain, **attributes))
        return out

    def raw(self, value: np.ndarray) -> str:
        """A weight stored as it is."""
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, value: np.ndarray, storage: Storage = "float32") -> str:
        """A float32 weight stored as `storage`; int8 takes a matrix and keeps a scale for each column and 32 rows."""
        from onnx import TensorProto

        if storage == "float32":
            return self.raw(value.astype(np.float32))
        if storage == "float16":
            return self.op("Cast", self.raw(value.astype(np.float16)), to=TensorProto.FLOAT)
        # groups along the input axis, each with its own scales: (n, m) -> (n/group, group, m)
        grouped = value.reshape(-1, GROUP, value.shape[1])
        quantised, scale = quantise(grouped, axis=1)
        scaled = self.op("Mul", self.op("Cast", self.raw(quantised), to=TensorProto.FLOAT), self.raw(scale))
        return self.op("Reshape", scaled, self.raw(np.array(value.shape, np.int64)))

    def table(self, value: np.ndarray, ids: str) -> str:
        """Rows of an embedding table (n, d), kept int8 in memory with one scale for each row: (b, t) -> (b, t, d)."""
        from onnx import TensorProto

        quantised, scale = quantise(value, axis=1)
        rows = self.op("Cast", self.op("Gather", self.raw(quantised), ids), to=TensorProto.FLOAT)
        return self.op("Mul", rows, self.op("Gather", self.raw(scale), ids))

    def model(self, name: str, inputs: list[Any], outputs: list[Any]) -> Any:
        """The finished ModelProto."""
        from onnx import helper

        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="memescope")


def quantise(value: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 of an array, and the float32 scale of each slice along `axis` (kept with length 1).

    The clipping point of each slice is the one of a small grid with the least squared error.
    """
    value = value.astype(np.float32)
    peak = np.maximum(np.abs(value).max(axis=axis, keepdims=True), 1e-12)
    best_scale, best_error = peak / 127, np.full(peak.shape, np.inf)
    for share in np.linspace(0.7, 1.0, 13, dtype=np.float32):
        scale = (peak * share / 127).astype(np.float32)
        rounded = np.clip(np.rint(value / scale), -127, 127) * scale
        error = np.square(rounded - value, dtype=np.float64).sum(axis=axis, keepdims=True)
        best_scale = np.where(error < best_error, scale, best_scale)
        best_error = np.minimum(error, best_error)
    return np.clip(np.rint(value / best_scale), -127, 127).astype(np.int8), best_scale.astype(np.float32)


def bert(weights: Mapping[str, np.ndarray], heads: int, epsilon: float, storage: Storage = "int8") -> Any:
    """A BERT encoder (Devlin et al. 2019, post-norm) from the tensors of a transformers `BertModel` checkpoint.

    Inputs `ids`, `mask`: int64 (b, t). Output `states`: float32 (b, t, d), the last layer. Segment ids are all 0.
    """
    from onnx import TensorProto, helper

    graph = Graph()
    microsoft = {"domain": "com.microsoft"}

    def plain(name: str) -> str:
        return graph.raw(weights[name].astype(np.float32))

    # transformers stores a linear layer as (out, in); MatMul wants (in, out)
    def linear(x: str, name: str) -> str:
        return graph.op("MatMul", x, graph.weight(weights[f"{name}.weight"].T, storage))

    def add_and_norm(x: str, skip: str, norm: str, bias: str) -> str:
        inputs = (x, skip, plain(f"{norm}.weight"), plain(f"{norm}.bias"), plain(bias))
        return graph.op("SkipLayerNormalization", *inputs, epsilon=epsilon, **microsoft)

    words = graph.table(weights["embeddings.word_embeddings.weight"], "ids")
    # position and segment 0 are added into one small table; as many rows as there are tokens are taken from it
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.op("Gather", graph.op("Shape", "ids"), graph.raw(np.array([1], np.int64)))
    start, axis = graph.raw(np.array([0], np.int64)), graph.raw(np.array([0], np.int64))
    placed = graph.op("Slice", graph.weight(positions, "float16"), start, length, axis)
    norm = "embeddings.LayerNorm"
    x = graph.op("LayerNormalization", graph.op("Add", words, placed), plain(f"{norm}.weight"), plain(f"{norm}.bias"),
                 epsilon=epsilon)  # fmt: skip
    mask = graph.op("Cast", "mask", to=TensorProto.INT32)
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    for i in range(layers):
        layer = f"encoder.layer.{i}"
        parts = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        joint = np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
        inputs = (x, graph.weight(joint, storage), graph.raw(bias.astype(np.float32)), mask)
        attended = graph.op("Attention", *inputs, num_heads=heads, **microsoft)
        out = f"{layer}.attention.output"
        x = add_and_norm(linear(attended, f"{out}.dense"), x, f"{out}.LayerNorm", f"{out}.dense.bias")
        hidden = linear(x, f"{layer}.intermediate.dense")
        hidden = graph.op("BiasGelu", hidden, plain(f"{layer}.intermediate.dense.bias"), **microsoft)
        out = f"{layer}.output"
        x = add_and_norm(linear(hidden, f"{out}.dense"), x, f"{out}.LayerNorm", f"{out}.dense.bias")
    graph.op("Identity", x, name="states")
    width = weights["embeddings.LayerNorm.weight"].shape[0]
    info = helper.make_tensor_value_info
    return graph.model(
        "bert",
        [info("ids", TensorProto.INT64, ["b", "t"]), info("mask", TensorProto.INT64, ["b", "t"])],
        [info("states", TensorProto.FLOAT, ["b", "t", width])],
    )


def efficientnet(weights: Mapping[str, np.ndarray], size: int, storage: Storage = "float16") -> Any:
    """EfficientNet-lite0 up to its head convolution, from the tensors of `efficientnet.EfficientNetLite0`.

    Input `pixels`: uint8 RGB (b, size, size, 3). Output `grid`: float32 (b, size/32, size/32, 1280), between 0 and 6.
    Batch norms are folded into the convolutions; pixels are scaled to (value - 127) / 128 inside the graph.
    """
    from onnx import TensorProto, helper

    from memescope.backbones.efficientnet import EPSILON, HEAD, STAGES, same_padding  # imports torch

    graph = Graph()
    low, high = graph.raw(np.array(0, np.float32)), graph.raw(np.array(6, np.float32))

    def conv(x: str, name: str, norm: str, size: int, stride: int = 1, relu: bool = True) -> str:
        kernel = weights[f"{name}.weight"].astype(np.float64)
        gain = weights[f"{norm}.weight"].astype(np.float64) / np.sqrt(weights[f"{norm}.running_var"] + EPSILON)
        bias = (weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain).astype(np.float32)
        before, after = same_padding(size, kernel.shape[2], stride)
        groups = kernel.shape[0] if kernel.shape[1] == 1 else 1
        folded = graph.weight((kernel * gain[:, None, None, None]).astype(np.float32), storage)
        pads = [before, before, after, after]
        x = graph.op("Conv", x, folded, graph.raw(bias), strides=[stride, stride], pads=pads, group=groups)
        return graph.op("Clip", x, low, high) if relu else x

    side = size
    x = graph.op("Transpose", graph.op("Cast", "pixels", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    x = graph.op("Div", graph.op("Sub", x, graph.raw(np.array(127, np.float32))), graph.raw(np.array(128, np.float32)))
    x = conv(x, "conv_stem", "bn0", side, 2)
    side = -(-side // 2)
    block = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            name, skip = f"blocks.{block}", x
            stride = stage.stride if repeat == 0 else 1
            if stage.expand > 1:
                x = conv(x, f"{name}.expand_conv", f"{name}.bn0", side)
            x = conv(x, f"{name}.depthwise_conv", f"{name}.bn1", side, stride)
            side = -(-side // stride)
            x = conv(x, f"{name}.project_conv", f"{name}.bn2", side, relu=False)
            if repeat > 0:  # stride 1 and the same width on both sides
                x = graph.op("Add", x, skip)
            block += 1
    x = conv(x, "conv_head", "bn1", side)
    graph.op("Transpose", x, perm=[0, 2, 3, 1], name="grid")
    info = helper.make_tensor_value_info
    return graph.model(
        "efficientnet-lite0",
        [info("pixels", TensorProto.UINT8, ["b", size, size, 3])],
        [info("grid", TensorProto.FLOAT, ["b", side, side, HEAD])],
    )
