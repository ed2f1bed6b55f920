"""Safe loading: expected pixels are worked out by hand or by PIL alone; anything else must be a `PictureError`."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn import broken_files, drawn_meme, encoded
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from memescope.curation.synth.broken import many_scans
from memescope.errors import PictureError
from memescope.perception import pictures
from memescope.perception.pictures import MAX_SIDE, Picture, open_picture
from memescope.perception.sniff import gif_frames, webp_size


@pytest.fixture(scope="module")
def small() -> Image.Image:
    """A 30x20 picture with no symmetry."""
    values = (np.arange(30 * 20 * 3).reshape(20, 30, 3) * 7 % 256).astype(np.uint8)
    return Image.fromarray(values)


def test_png_pixels_key_and_size(small: Image.Image, tmp_path: Path) -> None:
    data = encoded(small, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (data, bytearray(data), str(path), path):
        picture = open_picture(source)
        assert (picture.pixels == np.asarray(small)).all()
        assert (picture.width, picture.height, picture.format, picture.notes) == (30, 20, "PNG", ())
        assert picture.key == hashlib.sha256(data).hexdigest()
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.flags.c_contiguous
        assert picture.pixels.flags.writeable


def test_a_picture_is_returned_as_it_is(small: Image.Image) -> None:
    picture = open_picture(encoded(small, "PNG"))
    assert open_picture(picture) is picture


def test_pil_pictures_are_keyed_by_their_pixels(small: Image.Image) -> None:
    first, again = open_picture(small), open_picture(small.copy())
    assert first.key == again.key
    assert first.key != open_picture(ImageOps.mirror(small)).key
    # The same bytes in another shape are another picture.
    assert open_picture(Image.new("RGB", (2, 3))).key != open_picture(Image.new("RGB", (3, 2))).key
    assert (first.pixels == np.asarray(small)).all()
    assert first.format == "PIL"


def test_a_pil_picture_that_cannot_be_loaded() -> None:
    data = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)), "PNG")
    with pytest.raises(PictureError, match="truncated picture"):
        open_picture(Image.open(io.BytesIO(data[: len(data) // 2])))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_rotation_is_applied(small: Image.Image, form: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(small, form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    picture = open_picture(data)
    assert (picture.pixels == expected).all()
    assert (picture.height, picture.width) == expected.shape[:2] == ((20, 30) if turn < 5 else (30, 20))
    assert bool(picture.notes) == (turn > 1)


def test_alpha_is_shown_on_white() -> None:
    image = Image.new("RGBA", (2, 1))
    image.putpixel((0, 0), (255, 0, 0, 128))  # 128/255 red on white: 255, 127, 127
    image.putpixel((1, 0), (0, 0, 255, 0))
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        picture = open_picture(encoded(image, form, **options))
        assert picture.pixels[0].tolist() == [[255, 127, 127], [255, 255, 255]]
        assert picture.notes == ("transparent parts shown on white",)


def test_palette_with_alpha_and_keyed_colours() -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    palette.putdata([0, 1, 2])
    picture = open_picture(encoded(palette, "PNG", transparency=b"\xff\x00\xff"))
    assert picture.pixels[0].tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]
    grey = Image.new("L", (2, 1))
    grey.putdata([7, 100])
    assert open_picture(encoded(grey, "PNG", transparency=7)).pixels[0, :, 0].tolist() == [255, 100]


def test_an_opaque_alpha_channel_is_not_worth_a_note(small: Image.Image) -> None:
    picture = open_picture(encoded(small.convert("RGBA"), "PNG"))
    assert picture.notes == ()
    assert (picture.pixels == np.asarray(small)).all()


def test_deep_greys() -> None:
    sixteen = np.array([[0, 257, 32896, 65535]], np.uint16)  # 257 = 65535 / 255, so 0, 1, 128, 255
    assert open_picture(encoded(Image.fromarray(sixteen), "PNG")).pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    clear = encoded(Image.fromarray(sixteen), "PNG", transparency=257)
    assert open_picture(clear).pixels[0, :, 0].tolist() == [0, 255, 128, 255]
    fractions = np.array([[0.0, 0.2, 1.0]], np.float32)
    assert open_picture(encoded(Image.fromarray(fractions), "TIFF")).pixels[0, :, 0].tolist() == [0, 51, 255]
    signed = np.array([[-100, 0, 100]], np.int32)
    assert open_picture(encoded(Image.fromarray(signed), "TIFF")).pixels[0, :, 0].tolist() == [0, 128, 255]
    broken = np.array([[np.nan, 0.5]], np.float32)
    assert open_picture(encoded(Image.fromarray(broken), "TIFF")).pixels.shape == (1, 2, 3)


def test_cmyk_grey_and_one_bit(small: Image.Image) -> None:
    for mode, form in (("CMYK", "TIFF"), ("L", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("YCbCr", "TIFF")):
        converted = small.convert(mode)
        picture = open_picture(encoded(converted, form))
        assert (picture.pixels == np.asarray(converted.convert("RGB"))).all(), mode


def test_large_pictures_are_scaled_down_alike_however_many_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = (np.arange(50 * 13 * 3).reshape(13, 50, 3) * 37 % 256).astype(np.uint8)
    image = Image.fromarray(coarse).resize((5000, 1301))
    data = encoded(image, "BMP")
    at_once = image.reduce(2).resize((2048, 533), Image.Resampling.BICUBIC)  # 1301 * 2048 / 5000 = 532.9
    for size in (10**9, 200_000):
        monkeypatch.setattr(pictures, "_BAND_PIXELS", size)
        picture = open_picture(data)
        assert picture.pixels.shape == (533, MAX_SIDE, 3)
        assert (picture.pixels == np.asarray(at_once)).all()
    assert (picture.width, picture.height) == (5000, 1301)
    assert picture.notes == ("scaled down from 5000x1301",)


def test_large_jpegs_are_decoded_at_half_size() -> None:
    left_half_white = Image.new("RGB", (4000, 3000))
    left_half_white.paste((255, 255, 255), (0, 0, 2000, 3000))
    picture = open_picture(encoded(left_half_white, "JPEG"))
    assert picture.pixels.shape == (1500, 2000, 3)
    assert (picture.width, picture.height) == (4000, 3000)
    assert picture.pixels[:, :990].min() > 250
    assert picture.pixels[:, 1010:].max() < 5


@pytest.mark.parametrize(
    ("size", "shape"), [((20000, 20), (2, 2048, 3)), ((20, 20000), (2048, 2, 3)), ((1, 1), (1, 1, 3))]
)
def test_extreme_sides(size: tuple[int, int], shape: tuple[int, int, int]) -> None:
    picture = open_picture(encoded(Image.new("L", size, 90), "PNG"))
    assert picture.pixels.shape == shape
    assert (picture.pixels == 90).all()
    assert (picture.width, picture.height) == size


def test_every_broken_file_gives_what_is_expected(tmp_path: Path) -> None:
    expectations = broken_files(tmp_path)
    single = {name: e for name, e in expectations.items() if e.outcome != "entries"}
    assert len(single) > 30
    for name, expected in single.items():
        if expected.outcome == "error":
            with pytest.raises(PictureError) as raised:
                open_picture(tmp_path / name)
            assert expected.says in str(raised.value), name
            assert repr(str(tmp_path / name)) in str(raised.value)
        else:
            picture = open_picture(tmp_path / name)
            assert (picture.width, picture.height) == (expected.width, expected.height), name
            assert expected.says in "; ".join(picture.notes), name


def test_unusual_files_show_the_same_meme(tmp_path: Path) -> None:
    broken_files(tmp_path)
    reference = np.asarray(Image.open(tmp_path / "plain.bmp")).astype(int)
    for name in ("wrong-extension.jpg", "animated.png", "turned.jpg", "16-bit-colour.png", "plain.bmp", "several.mpo"):
        pixels = open_picture(tmp_path / name).pixels.astype(int)
        assert np.abs(pixels - reference).mean() < 6, name


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    for source, cause in (
        (tmp_path, "directory"),
        (tmp_path / "none.jpg", "No such file"),
        ("a\0b.jpg", "not a file name"),
        ("https://memes.example/a.jpg", "never fetched"),
    ):
        with pytest.raises(PictureError, match=cause):
            open_picture(source)
    with pytest.raises(PictureError, match="found int"):
        open_picture(5)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes of POSIX")
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(PictureError, match="not a regular file"):
            open_picture(path)


def test_limits_hold_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 2**20)
    (tmp_path / "large.jpg").write_bytes(b"\xff\xd8\xff" + bytes(2**20))
    for source in (tmp_path / "large.jpg", b"\xff\xd8\xff" + bytes(2**20)):
        with pytest.raises(PictureError, match=r"1\.0 MiB is over the limit of 1 MiB"):
            open_picture(source)
    with pytest.raises(PictureError, match="100 megapixels, over the limit of 80"):
        open_picture(Image.new("1", (10_000, 10_000)))
    with pytest.raises(PictureError, match="JPEG of 101 scans"):
        open_picture(many_scans(64, 101))
    assert open_picture(many_scans(64, 100)).pixels.shape == (64, 64, 3)
    # A WebP canvas of 36 megapixels: refused by its header alone.
    header = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (5999).to_bytes(3, "little") * 2
    with pytest.raises(PictureError, match="6000x6000 = 36 megapixels, over the limit of 32"):
        open_picture(b"RIFF" + struct.pack("<I", len(header) + 4) + b"WEBP" + header)


def test_webp_size_agrees_with_the_decoder(small: Image.Image) -> None:
    for data in (
        encoded(small, "WEBP"),
        encoded(small, "WEBP", lossless=True),
        encoded(small.convert("RGBA"), "WEBP", save_all=True, append_images=[ImageOps.mirror(small)]),
    ):
        assert webp_size(data) == (30, 20)
    assert webp_size(b"RIFF\0\0\0\0WEBPVP8 ") is None


def test_gif_frames_are_counted_without_decoding(small: Image.Image) -> None:
    frames = [small.rotate(30 * k) for k in range(7)]
    for count in (1, 2, 7):
        data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:count], comment=b"drawn" * 90)
        assert gif_frames(data) == count
    assert gif_frames(b"GIF89a") == 0


MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\0\0\0\0WEBP")
VALID = {
    "JPEG": drawn_meme(size=(240, 200)),
    **{
        form: encoded(Image.open(io.BytesIO(drawn_meme(size=(240, 200)))), form)
        for form in ("PNG", "GIF", "WEBP", "BMP", "TIFF")
    },
}


def _picture_or_error(data: bytes) -> None:
    try:
        picture = open_picture(data)
    except PictureError:
        return
    assert isinstance(picture, Picture)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape[2:] == (3,)
    assert max(picture.pixels.shape) <= MAX_SIDE
    assert min(picture.pixels.shape) > 0


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", *MAGIC]),
    st.binary(max_size=400),
)
@example(b"II*\0", b"\x08\0\0\0\xff\xff")
def test_any_bytes_give_a_picture_or_an_error(magic: bytes, rest: bytes) -> None:
    _picture_or_error(magic + rest)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(VALID)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.booleans()), min_size=1, max_size=12),
    st.floats(0.3, 1),
)
def test_damaged_files_give_a_picture_or_an_error(
    form: str, changes: list[tuple[float, int, bool]], kept: float
) -> None:
    data = bytearray(VALID[form])
    for place, value, near_the_start in changes:
        # Headers are the interesting part: half of the damage is done to the first 200 bytes.
        data[int(place * (min(200, len(data)) - 1 if near_the_start else len(data) - 1))] = value
    _picture_or_error(bytes(data[: int(kept * len(data))]) if kept < 0.9 else bytes(data))
