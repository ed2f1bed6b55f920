"""Regions: grids of an encoder, DETR on a tiny random checkpoint, stored features in the forms people publish."""

from __future__ import annotations

import base64
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memescope.backbones import load_vision_encoder
from memescope.backbones.perceiving import Detected, Grid, open_kind, perceive
from memescope.backbones.regions import (
    Regions,
    grid_boxes,
    grid_regions,
    load_detr,
    pack_regions,
    padded,
    unpack_regions,
)
from memescope.backbones.shards import MEMES, ShardWriter, from_shard, shard_index
from memescope.backbones.stored_regions import StoredRegions
from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme
from memescope.perception.pictures import Picture


def random_picture(seed: int = 0, size: tuple[int, int] = (60, 40)) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    return Picture(pixels, f"random {seed}", *size, "PNG")


def some_regions(n: int = 3, d: int = 4, seed: int = 0) -> Regions:
    draw = np.random.default_rng(seed)
    corners = np.sort(draw.random((n, 2, 2)), axis=1)
    boxes = np.concatenate([corners[:, 0], corners[:, 1]], axis=1)
    features = draw.normal(size=(n, d)).astype(np.float16).astype(np.float32)
    return Regions(features, boxes.astype(np.float32), draw.random(n).astype(np.float32))


def same(one: Regions, other: Regions | None) -> bool:
    assert other is not None
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("features", "boxes", "scores"))


# The dataclass and batches


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(MemescopeError, match=r"found \(2, 3\), \(2, 3\), \(2,\)"):
        Regions(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2))


def test_packing_keeps_half_precision_and_large_values_whole() -> None:
    regions = some_regions()
    assert same(regions, unpack_regions(pack_regions(regions)))
    large = Regions(np.array([[1e6, 0.1]], np.float32), np.zeros((1, 4), np.float32), np.ones(1, np.float32))
    assert same(large, unpack_regions(pack_regions(large)))
    fine = Regions(np.full((1, 8), 0.1, np.float32), np.zeros((1, 4), np.float32), np.ones(1, np.float32))
    assert unpack_regions(pack_regions(fine)).features == pytest.approx(fine.features, rel=5e-4)


def test_a_batch_is_padded_and_keeps_the_most_confident() -> None:
    four = some_regions(4)
    four.scores = np.array([0.2, 0.9, 0.1, 0.5], np.float32)
    features, boxes, mask = padded([four, None, some_regions(1, seed=1)], count=3, width=4)
    assert mask.tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    assert np.array_equal(features[0], four.features[[0, 1, 3]])
    assert np.array_equal(boxes[0], four.boxes[[0, 1, 3]])
    assert not features[1].any()
    with pytest.raises(MemescopeError, match="width 4, expected 5"):
        padded([four], 3, 5)


# Grids


def test_grid_boxes_by_hand() -> None:
    assert grid_boxes(2).tolist() == [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]


def test_the_grid_is_the_encoders_patches_with_their_places() -> None:
    picture = random_picture()
    regions = grid_regions(picture)
    patches = load_vision_encoder().patches([picture])[0]
    assert regions.features.shape == (49, 1280)
    assert np.array_equal(regions.features[7 * 3 + 5], patches[3, 5])
    assert regions.boxes[7 * 3 + 5] == pytest.approx([5 / 7, 3 / 7, 6 / 7, 4 / 7])
    assert set(regions.scores.tolist()) == {1.0}


def test_the_grid_as_a_transform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    Image.fromarray(random_picture().pixels).save(tmp_path / "a.png")
    meme = Meme(image=tmp_path / "a.png", id="a")
    perceived = perceive([meme], ["grid"])
    [ran] = perceived.run(workers=0)
    assert ran.computed == 1
    found = perceived[0]["grid"]
    direct = Grid().apply(meme)
    assert found.features == pytest.approx(direct.features, rel=5e-4, abs=1e-4)
    assert Grid(clean=True).key(meme) != Grid().key(meme)


# DETR


@pytest.fixture(scope="module")
def detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = transformers.DetrConfig(
        backbone_config=backbone,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=7,
        num_labels=5,
    )
    folder = tmp_path_factory.mktemp("detr")
    transformers.DetrForObjectDetection(config).save_pretrained(folder)
    processor = transformers.DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    processor.save_pretrained(folder)
    return folder


def test_detr_gives_the_most_confident_queries(detr: Path) -> None:
    import torch
    import transformers

    picture = random_picture(1)
    regions = load_detr(str(detr)).regions(picture, count=4)
    assert (regions.features.shape, regions.boxes.shape) == ((4, 16), (4, 4))
    assert (np.diff(regions.scores) <= 0).all()
    assert ((regions.boxes >= 0) & (regions.boxes <= 1)).all()
    assert (regions.boxes[:, 2:] >= regions.boxes[:, :2]).all()
    # the same by hand, in float64
    model = transformers.DetrForObjectDetection.from_pretrained(detr).eval().double()
    inputs = transformers.AutoImageProcessor.from_pretrained(detr)(images=[picture.pixels], return_tensors="pt")
    with torch.inference_mode():
        out = model(pixel_values=inputs["pixel_values"].double(), pixel_mask=inputs["pixel_mask"])
    chances = torch.softmax(out.logits[0], -1)[:, :5].max(-1).values.numpy()
    order = np.argsort(-chances)[:4]
    assert regions.scores == pytest.approx(chances[order], abs=1e-4)
    assert regions.features == pytest.approx(out.last_hidden_state[0].numpy()[order], abs=1e-3)
    x, y, w, h = out.pred_boxes[0].numpy()[order[0]]
    assert regions.boxes[0] == pytest.approx(np.clip([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0, 1), abs=1e-4)


def test_detr_by_name_and_as_a_transform(detr: Path) -> None:
    kind = open_kind(f"regions={detr}")
    assert isinstance(kind, Detected)
    value = kind.apply(Meme(image=random_picture(2)))
    assert len(value) == 7  # all of the checkpoint's queries: fewer than asked for
    assert same(unpack_regions(pack_regions(value)), kind.unpack(kind.pack(value), Meme()))
    fewer = Detected(str(detr), count=2)
    assert fewer.key(Meme(image=b"x")) != kind.key(Meme(image=b"x"))


def test_another_kind_of_model_is_no_detector(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    transformers.BertConfig(vocab_size=7, hidden_size=8, num_attention_heads=1).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="a bert model; expected a detr one"):
        load_detr(str(tmp_path))


# Stored features


PIXELS = np.array([[0, 0, 50, 20], [25, 10, 100, 40]], np.float32)
FRACTIONS = [[0, 0, 0.5, 0.5], [0.25, 0.25, 1, 1]]
FEATURES = np.arange(6, dtype=np.float32).reshape(2, 3)


def tsv_row(name: str, features: np.ndarray = FEATURES, boxes: np.ndarray = PIXELS) -> str:
    encoded = [base64.b64encode(array.tobytes()).decode() for array in (boxes, features)]
    return "\t".join([name, "100", "40", str(len(boxes)), *encoded]) + "\n"


def test_bottom_up_attentions_tsv(tmp_path: Path) -> None:
    table = tmp_path / "features.tsv"
    table.write_text(tsv_row("m1") + tsv_row("17", FEATURES + 10) + "broken\trow\n" + tsv_row("bad", FEATURES[:1]))
    stored = StoredRegions(table)
    assert len(stored) == 4
    first = stored.of(Meme(id="m1"))
    assert first is not None
    assert first.features.tolist() == FEATURES.tolist()
    assert first.boxes.tolist() == FRACTIONS
    assert first.scores.tolist() == [1, 1]
    by_picture = stored.of(Meme(id="other", image=Path("images/17.jpg")))
    assert by_picture is not None
    assert by_picture.features[0, 0] == 10
    assert stored.of(Meme(id="nowhere")) is None
    with pytest.raises(MemescopeError, match=r"features.tsv: broken: not region features.*2 fields"):
        stored.of(Meme(id="broken"))
    with pytest.raises(MemescopeError, match=r"features\.tsv: bad"):
        stored.of(Meme(id="bad", image=None))


def test_npz_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "m1.npz", x=FEATURES, bbox=PIXELS, image_w=100, image_h=40, num_bbox=1)
    np.savez(tmp_path / "m2.npz", features=FEATURES, boxes=np.array(FRACTIONS, np.float32))
    np.savez(tmp_path / "m3.npz", features=FEATURES, boxes=PIXELS)
    np.savez(tmp_path / "m4.npz", features=FEATURES * np.nan, boxes=PIXELS / 100)
    np.savez(tmp_path / "m5.npz", something=FEATURES)
    (tmp_path / "m6.npz").write_bytes(b"not a zip file")
    stored = StoredRegions(tmp_path)
    one, two = stored.of(Meme(id="m1")), stored.of(Meme(id="m2"))
    assert one is not None
    assert two is not None
    assert (one.boxes.tolist(), one.features.shape) == (FRACTIONS[:1], (1, 3))
    assert two.boxes.tolist() == FRACTIONS
    said = {
        "m3": "without the picture's size",
        "m4": "not finite",
        "m5": "none of features, x",
        "m6": "not an npz file",
    }
    for name, reason in said.items():
        with pytest.raises(MemescopeError, match=reason):
            stored.of(Meme(id=name))


def test_mmfs_npy_with_its_info(tmp_path: Path) -> None:
    chances = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], np.float32)
    info = {"bbox": PIXELS, "num_boxes": 2, "image_width": 100, "image_height": np.float32(40), "cls_prob": chances}
    padded_features = np.concatenate([FEATURES, np.zeros((3, 3), np.float32)])
    np.save(tmp_path / "m1.npy", padded_features)
    np.save(tmp_path / "m1_info.npy", info)  # type: ignore[arg-type]  # numpy pickles it
    np.save(tmp_path / "m2.npy", padded_features)
    stored = StoredRegions(tmp_path)
    assert len(stored) == 2
    found = stored.of(Meme(id="m1"))
    assert found is not None
    assert found.boxes.tolist() == FRACTIONS
    assert found.features.tolist() == FEATURES.tolist()
    assert found.scores == pytest.approx([0.7, 0.3])  # the first class is the background
    with pytest.raises(MemescopeError, match=r"no m2_info\.npy beside it"):
        stored.of(Meme(id="m2"))


class _Hostile:
    def __reduce__(self) -> Any:
        return (print, ("the pickle ran code",))


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "m1.npy", FEATURES)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    (tmp_path / "m1_info.npy").write_bytes(header.getvalue() + pickle.dumps({"bbox": _Hostile()}))
    with pytest.raises(MemescopeError, match=r"builtins.print"):
        StoredRegions(tmp_path).of(Meme(id="m1"))
    assert capsys.readouterr().out == ""


def test_a_place_without_features_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "gone", tmp_path / "gone.tsv"):
        with pytest.raises(UsageError, match="files of regions"):
            StoredRegions(place)
    (tmp_path / "x.safetensors").write_bytes(b"12345678")
    with pytest.raises(UsageError, match="regions in"):
        StoredRegions(tmp_path)


# Shards


def test_shards_give_back_what_was_written_and_read_only_what_is_asked_for(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, "grid")
    some = {f"test/{i}": some_regions(1 + i % 3, seed=i) for i in range(MEMES + 5)}
    for name, regions in some.items():
        writer.add(name, regions)
    writer.close()
    assert [path.name for path in writer.files] == ["grid-00000.safetensors", "grid-00001.safetensors"]
    places = shard_index(writer.files)
    assert set(places) == set(some)
    assert all(same(regions, from_shard(*places[name])) for name, regions in some.items())
    stored = StoredRegions(tmp_path)
    assert same(some["test/7"], stored.of(Meme(id="7", split="test")))
    assert stored.of(Meme(id="7", split="train")) is None
    assert same(some["test/7"], StoredRegions(writer.files[0]).of(Meme(id="7", split="test")))
    with pytest.raises(UsageError, match="width 5, those before 4"):
        writer.add("other", some_regions(2, d=5))
