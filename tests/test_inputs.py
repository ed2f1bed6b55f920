"""What a scan reads: every name is accounted for, nothing outside is opened, nothing hangs."""

from __future__ import annotations

import json
import os
import socket
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import PictureError, UsageError
from memescope.scanning.entry import Entry, Limits, display, looks_like_picture
from memescope.scanning.inputs import entries, read_bytes

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
JPEG = b"\xff\xd8\xff\xe0" + bytes(28)


def _ids(*paths: Path | str) -> list[str]:
    return [entry.id for entry in entries(list(paths))]


def _errors(*paths: Path | str) -> dict[str, str]:
    return {entry.id: entry.error for entry in entries(list(paths)) if entry.error}


def _write(folder: Path, *names: str, content: bytes = PNG) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_folder_is_walked_sorted_and_the_rest_is_counted(tmp_path: Path) -> None:
    memes = tmp_path / "memes"
    _write(memes, "b.jpg", "a/z.png", "a/c/d/e.webp", "a.gif", "picture without suffix", "photo.txt")
    _write(memes, "notes.txt", "list.csv", "README", content=b"BM is text here, and no bitmap at all")
    _write(memes, ".hidden.jpg", "__MACOSX/._b.jpg", ".git/x.png")
    skipped: Counter[str] = Counter()
    found = [entry.id for entry in entries([memes], skipped=skipped)]
    assert found == [
        "memes/a/c/d/e.webp",
        "memes/a/z.png",
        "memes/a.gif",
        "memes/b.jpg",
        "memes/photo.txt",
        "memes/picture without suffix",
    ]
    assert skipped == {"hidden": 3, ".txt": 1, ".csv": 1, "no suffix": 1}


def test_own_output_is_not_scanned(tmp_path: Path) -> None:
    _write(tmp_path, "m/a.png", "m/out/memescope.db", "m/out/report.html", "m/out/results.csv", "m/out/kept.png")
    skipped: Counter[str] = Counter()
    assert [entry.id for entry in entries([tmp_path / "m"], skipped=skipped)] == ["m/a.png", "m/out/kept.png"]
    assert skipped == {"memescope output": 3}


def test_bytes_are_read_and_limited(tmp_path: Path) -> None:
    _write(tmp_path, "a.png", content=PNG + b"x" * 100)
    (entry,) = entries([tmp_path / "a.png"])
    assert (entry.id, entry.error, entry.text) == ("a.png", None, None)
    assert read_bytes(entry) == PNG + b"x" * 100
    assert read_bytes(entry, Limits(file_bytes=132)) == PNG + b"x" * 100
    with pytest.raises(PictureError, match="is 132 bytes or more; a picture file may have at most 131"):
        read_bytes(entry, Limits(file_bytes=131))
    (tmp_path / "a.png").unlink()
    with pytest.raises(PictureError, match="cannot be opened: No such file"):
        read_bytes(entry)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_sockets_and_devices_never_hang(tmp_path: Path) -> None:
    memes = tmp_path / "m"
    memes.mkdir()
    os.mkfifo(memes / "pipe.jpg")
    os.mkfifo(memes / "pipe")
    address = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(memes)
    try:
        address.bind("socket.png")
    finally:
        os.chdir(here)
        address.close()
    (memes / "null.png").symlink_to("/dev/null")
    errors = _errors(memes)
    assert set(errors) == {"m/pipe", "m/pipe.jpg", "m/socket.png", "m/null.png"}
    assert "is a named pipe, not a regular file" in errors["m/pipe.jpg"]
    assert "is a socket" in errors["m/socket.png"]
    assert "leaves the folder" in errors["m/null.png"]
    (entry,) = entries([memes / "pipe.jpg"])
    with pytest.raises(PictureError, match="named pipe"):
        read_bytes(entry)
    with pytest.raises(PictureError, match="symbolic link"):
        read_bytes(Entry("x", "x", "file", file=str(memes / "null.png")))


def test_links_stay_inside(tmp_path: Path) -> None:
    _write(tmp_path, "secret.png", "m/real.png", "m/sub/b.png")
    (tmp_path / "m/inside.png").symlink_to("real.png")
    (tmp_path / "m/outside.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "m/loop.png").symlink_to("loop.png")
    (tmp_path / "m/gone.png").symlink_to("nothing")
    (tmp_path / "m/again").symlink_to("sub")
    (tmp_path / "m/sub/up").symlink_to("..")
    (tmp_path / "m/away").symlink_to(tmp_path)
    skipped: Counter[str] = Counter()
    found = {entry.id: entry for entry in entries([tmp_path / "m"], skipped=skipped)}
    good = {id for id, entry in found.items() if entry.error is None}
    assert good == {"m/inside.png", "m/real.png", "m/sub/b.png"}
    assert set(found) - good == {"m/outside.png", "m/loop.png", "m/gone.png", "m/away"}
    assert "leaves the folder" in (found["m/away"].error or "")
    assert "broken symbolic link" in (found["m/loop.png"].error or "")
    assert skipped == {"link to a folder that is scanned anyway": 2}
    assert read_bytes(found["m/inside.png"]) == PNG


def test_names_in_five_scripts_and_worse(tmp_path: Path) -> None:
    names = [
        "मीम.png",
        "表情包.png",
        "ميم.png",
        "мем.png",
        "mème ñ.png",
        "line\nbreak.png",
        "a\u202egnp.png",
        "back\\slash.png",
    ]
    _write(tmp_path / "m", *names)
    raw = os.fsencode(tmp_path / "m") + b"/bad\xff\xfe.png"
    with open(raw, "wb") as file:
        file.write(JPEG)
    found = list(entries([tmp_path / "m"]))
    assert len({entry.id for entry in found}) == 9
    assert {"m/line\\nbreak.png", "m/a\\u202egnp.png", "m/back\\\\slash.png", "m/bad\\xff\\xfe.png", "m/मीम.png"} <= {
        entry.id for entry in found
    }
    for entry in found:
        json.dumps([entry.id, entry.path], ensure_ascii=False).encode("utf-8")
        assert read_bytes(entry) in (PNG, JPEG)


@given(st.lists(st.text(max_size=6) | st.binary(max_size=4).map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_shown_names_stay_different(names: list[str]) -> None:
    first, second = (display(name) for name in names)
    assert first != second
    assert first.encode("utf-8").decode("utf-8") == first
    assert not any(ord(c) < 32 for c in first)


def test_roots_that_share_a_name_are_told_apart(tmp_path: Path) -> None:
    _write(tmp_path, "x/memes/a.png", "y/memes/a.png", "x/b.png", "y/b.png")
    assert _ids(tmp_path / "x/memes", tmp_path / "y/memes") == ["memes/a.png", "memes~2/a.png"]
    assert _ids(tmp_path / "x/b.png", tmp_path / "y/b.png") == ["x/b.png", "y/b.png"]
    assert _ids(tmp_path / "x/b.png", tmp_path / "x/./b.png") == ["b.png"]
    # the folder x and the files' label x/... must not meet
    found = _ids(tmp_path / "x", tmp_path / "x/b.png", tmp_path / "y/b.png")
    assert len(found) == len(set(found)) == 4


def test_globs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, "m/a1.png", "m/a2.png", "m/b1.png", "m/deep/er/a3.png", "m/.a4.png", "m/a[1].png")
    _write(tmp_path, "m/a.txt", "m/a.csv", content=b"no picture")
    monkeypatch.chdir(tmp_path)
    skipped: Counter[str] = Counter()
    assert [entry.id for entry in entries(["m/a*"], skipped=skipped)] == ["a1.png", "a2.png", "a[1].png"]
    assert skipped == {".txt": 1, ".csv": 1}
    assert _ids("m/**/a?.png") == ["a1.png", "a2.png", "a3.png"]
    assert _ids("m/a[1].png") == ["a[1].png"]  # a file of that very name goes before the pattern
    assert sorted(_ids("m/d*")) == ["deep/er/a3.png"]
    with pytest.raises(UsageError, match=r"m/\*\.gif: no file matches"):
        entries(["m/*.gif"])


def test_usage_errors_come_before_the_first_entry(tmp_path: Path) -> None:
    _write(tmp_path, "a.png")
    _write(tmp_path, "bad.csv", content=b"name,caption\na.png,hello\n")
    for path, says in (
        (tmp_path / "none", "no such file or folder"),
        ("https://example.org/a.jpg", "URLs are never fetched"),
        (tmp_path / "bad.csv", "columns 'image'.*found 'name', 'caption'"),
        ("a\0b", "is not a path"),
    ):
        with pytest.raises(UsageError, match=says):
            entries([tmp_path / "a.png", path])
    with pytest.raises(UsageError, match="nothing to scan"):
        entries([])


def test_unreadable_folder_is_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, "m/locked/a.png", "m/z.png")
    listdir = os.listdir

    def deny(path: str) -> list[str]:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", deny)
    found = list(entries([tmp_path / "m"]))
    assert [(entry.id, bool(entry.error)) for entry in found] == [("m/locked", True), ("m/z.png", False)]
    assert "cannot be read: Permission denied" in (found[0].error or "")


def test_entries_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second folder is not looked at before the first is used up."""
    _write(tmp_path, "m/a/1.png", "m/b/2.png")
    seen: list[str] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: (seen.append(os.path.basename(path)), listdir(path))[1])
    stream = entries([tmp_path / "m"])
    assert seen == []
    assert next(stream).id == "m/a/1.png"
    assert seen == ["m", "a"]


def _zip(path: Path, members: dict[str, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:  # type: ignore[arg-type]
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_zip_members(tmp_path: Path) -> None:
    path = _zip(
        tmp_path / "m.zip", {"a.png": PNG, "sub/": b"", "sub/b.JPG": JPEG, "c.txt": b"text", "d": JPEG, ".x.png": PNG}
    )
    skipped: Counter[str] = Counter()
    found = list(entries([path], skipped=skipped))
    assert [entry.id for entry in found] == ["m.zip/a.png", "m.zip/sub/b.JPG", "m.zip/d"]
    assert [read_bytes(entry) for entry in found] == [PNG, JPEG, JPEG]
    assert skipped == {".txt": 1, "hidden": 1}
    folder = tmp_path / "in folder"
    folder.mkdir()
    path.rename(folder / "m.zip")
    assert _ids(folder) == ["in folder/m.zip/a.png", "in folder/m.zip/sub/b.JPG", "in folder/m.zip/d"]


def test_zip_names_that_leave_it_are_refused(tmp_path: Path) -> None:
    names = ["../a.png", "x/../../b.png", "/etc/c.png", "C:/d.png", "..\\e.png", "f\\g.png", "nul\0.png"]
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            archive.writestr(info, PNG)
        archive.writestr("inner.zip", b"PK")
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.png", PNG)
    found = list(entries([tmp_path / "m.zip"]))
    assert [entry.id for entry in found if entry.error is None] == ["m.zip/good.png"]
    assert len(found) == len(names) + 3
    for entry in found[:-1]:
        with pytest.raises(PictureError, match=r"leaves the zip|backslash or NUL|zip file inside|symbolic link"):
            read_bytes(entry)


def test_same_member_name_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("a.png", PNG)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", JPEG)
    found = list(entries([tmp_path / "m.zip"]))
    assert [entry.id for entry in found] == ["m.zip/a.png", "m.zip/a.png (2)"]
    assert [read_bytes(entry) for entry in found] == [PNG, JPEG]


def test_zip_bombs(tmp_path: Path) -> None:
    deflated = {"compression": zipfile.ZIP_DEFLATED}
    bomb = _zip(tmp_path / "bomb.zip", {"a.png": PNG + bytes(5 << 20), "b.png": PNG}, **deflated)
    assert "more than 200 to 1: a zip bomb" in _errors(bomb)["bomb.zip/a.png"]
    small = Limits(file_bytes=1000)
    big = _zip(tmp_path / "big.zip", {"a.png": os.urandom(2000)})
    (entry,) = entries([big], limits=small)
    assert "inflates to 2000 bytes; a picture file may have at most 1000" in (entry.error or "")
    many = Limits(zip_total_bytes=2500, zip_total_ratio=0)
    path = _zip(tmp_path / "many.zip", {f"{i}.png": os.urandom(1000) for i in range(4)})
    assert [bool(entry.error) for entry in entries([path], limits=many)] == [False, False, True, True]
    (entry,) = entries([path], limits=Limits(zip_members=3))
    assert "holds 4 members; at most 3 are read" in (entry.error or "")
    (entry,) = entries([path], limits=Limits(zip_directory_bytes=100))
    assert "is not a zip file that can be read" in (entry.error or "")


def test_zip_that_lies_about_sizes(tmp_path: Path) -> None:
    """A directory that says 32 bytes for a member of 4 MB: no more than it says is inflated, and that is an error."""
    path = _zip(tmp_path / "m.zip", {"a.png": PNG + bytes(4 << 20)}, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 32)
    path.write_bytes(data)
    (entry,) = entries([path])
    assert entry.error is None
    with pytest.raises(PictureError, match=r"a\.png cannot be read: Bad CRC-32"):
        read_bytes(entry)


def test_damaged_and_encrypted_zips(tmp_path: Path) -> None:
    whole = _zip(tmp_path / "m.zip", {"a.png": PNG * 50, "b.png": JPEG}).read_bytes()
    for name, content in (("cut.zip", whole[:-30]), ("empty.zip", b""), ("text.zip", b"no zip")):
        (tmp_path / name).write_bytes(content)
        (entry,) = entries([tmp_path / name])
        assert entry.id == name
        assert "is not a zip file that can be read" in (entry.error or "")
    wrong = bytearray(whole)
    wrong[60] ^= 255  # inside a.png
    (tmp_path / "wrong.zip").write_bytes(wrong)
    first, second = entries([tmp_path / "wrong.zip"])
    with pytest.raises(PictureError, match="CRC"):
        read_bytes(first)
    assert read_bytes(second) == JPEG
    locked = bytearray(whole)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = locked.index(mark)
        locked[at + place] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    assert list(_errors(tmp_path / "locked.zip")) == ["locked.zip/a.png"]
    assert "is encrypted" in _errors(tmp_path / "locked.zip")["locked.zip/a.png"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=5, unique=True
    )
)
def test_any_member_name_is_accounted_for(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name + ".png"
            archive.writestr(info, PNG)
    skipped: Counter[str] = Counter()
    found = list(entries([path], skipped=skipped))
    assert len(found) + skipped.total() == len(names)
    assert len({entry.id for entry in found}) == len(found)
    for entry in found:
        if entry.error is None:
            assert read_bytes(entry) == PNG
            assert ".." not in entry.id.split("/")


def test_lists(tmp_path: Path) -> None:
    _write(tmp_path, "images/a.png", "images/b c.png", "d.png", "Re: memes.png")
    rows = [
        {"image": "images/a.png", "text": "hello\u2028there", "lang": "en-GB", "id": 7},
        {"img": "images\\b c.png", "text": "", "label": 1},
        {"image": str(tmp_path / "d.png"), "text": None},
        {"image": "Re: memes.png"},
    ]
    (tmp_path / "l.jsonl").write_text("\ufeff" + "\n\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    found = list(entries([tmp_path / "l.jsonl"]))
    assert [(e.id, e.text, e.lang, e.error) for e in found] == [
        ("7", "hello\u2028there", "en", None),
        ("l.jsonl#3", None, None, None),
        ("l.jsonl#5", None, None, None),
        ("l.jsonl#7", None, None, None),
    ]
    assert [read_bytes(e) for e in found] == [PNG] * 4
    # a second path: ids of one's own might meet, so lines are named
    assert _ids(tmp_path / "l.jsonl", tmp_path / "d.png")[0] == "l.jsonl#1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_tables(tmp_path: Path, encoding: str, suffix: str, delimiter: str) -> None:
    _write(tmp_path, "मीम.png", "b.png")
    lines = [["ID", "Image", "Text"], ["x1", "मीम.png", '"two\nlines"'], ["", "", ""], ["", "b.png", ""]]
    (tmp_path / f"l.{suffix}").write_bytes("\r\n".join(delimiter.join(line) for line in lines).encode(encoding))
    found = list(entries([tmp_path / f"l.{suffix}"]))
    assert [(e.id, e.text, e.error) for e in found] == [("x1", "two\nlines", None), (f"l.{suffix}#5", None, None)]


def test_lists_never_leave_their_folder(tmp_path: Path) -> None:
    _write(tmp_path, "secret.png", "l/a.png")
    (tmp_path / "l/link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "l/sub").mkdir()
    images = {
        "../secret.png": "leaves the list's folder",
        "sub/../../secret.png": "leaves the list's folder",
        str(tmp_path / "secret.png"): "leaves the list's folder",
        "/etc/passwd": "leaves the list's folder",
        "link.png": "leaves the list's folder through a symbolic link",
        "https://example.org/a.png": "never fetched",
        "file:///etc/passwd": "never fetched",
        "data:image/png;base64,AAAA": "never fetched",
        "//host/a.png": "never fetched",
        "\\\\host\\share\\a.png": "never fetched",
        "C:\\memes\\a.png": "never fetched",
        "..\\secret.png": "leaves the list's folder",
        "missing.png": "there is no such file",
        "sub": "is that of a folder",
        "nul\0.png": "NUL",
        "": "no picture is named",
    }
    lines = [json.dumps({"image": image, "text": "x"}) for image in images]
    lines += [
        "{broken",
        "[1, 2]",
        '{"text": "no image"}',
        '{"image": 5}',
        "[" * 100_000,
        '{"image": "a.png", "text": 5}',
    ]
    lines += [json.dumps({"image": "a.png", "id": "one"}), json.dumps({"image": "a.png", "id": "one"})]
    (tmp_path / "l/list.jsonl").write_text("\n".join(lines))
    found = list(entries([tmp_path / "l/list.jsonl"]))
    assert len(found) == len(lines)
    for number, (entry, says) in enumerate(zip(found, images.values(), strict=False), 1):
        assert entry.id == f"list.jsonl#{number}"
        assert entry.error is not None
        assert entry.error.startswith(f"list.jsonl, line {number}: ")
        assert says in entry.error
        assert not entry.file
    says = ["not JSON", "found list", "no picture", "no picture", "not JSON", "expected text in the column 'text'"]
    for entry, part in zip(found[len(images) :], says, strict=False):
        assert part in (entry.error or "")
    assert (found[-2].id, found[-2].error) == ("one", None)
    assert "the id 'one' is not unique: list.jsonl, line 23 has it" in (found[-1].error or "")


def test_broken_tables(tmp_path: Path) -> None:
    _write(tmp_path, "a.png")
    content = b'image,text\na.png,"open\na.png,x\n'
    (tmp_path / "open.csv").write_bytes(content)
    (entry,) = entries([tmp_path / "open.csv"])
    assert "open.csv, line 2: not a row of a table" in (entry.error or "")
    (tmp_path / "latin.csv").write_bytes("image,text\na.png,caf\xe9\na.png,x\n".encode("latin-1"))
    first, second = entries([tmp_path / "latin.csv"])
    assert "line 2: the column 'text' is not UTF-8" in (first.error or "")
    assert (second.text, second.error) == ("x", None)
    (tmp_path / "wide.csv").write_bytes(b"image,text\na.png,x,y\na.png," + b"z" * 5000 + b"\na.png,ok\n")
    found = list(entries([tmp_path / "wide.csv"], limits=Limits(line_bytes=4000)))
    assert [entry.error and entry.error.split(": ")[1] for entry in found] == [
        "3 cells where the first line names 2 columns",
        "the line is too long",
        None,
    ]


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["jsonl", "csv", "tsv"]))
def test_any_bytes_are_a_list_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    path = folder / f"any.{kind}"
    path.write_bytes(
        data if kind == "jsonl" else b"image,text\n".replace(b",", b"\t" if kind == "tsv" else b",") + data
    )
    found = list(entries([path]))
    assert len({entry.id for entry in found}) == len(found)
    for entry in found:
        json.dumps([entry.id, entry.path, entry.error], ensure_ascii=False).encode("utf-8")
        if entry.error is None:
            assert Path(entry.file).is_relative_to(folder.resolve())


@pytest.mark.parametrize(
    ("head", "picture"),
    [
        (PNG, True),
        (JPEG, True),
        (b"GIF89a", True),
        (b"RIFF\0\0\0\0WEBP", True),
        (b"RIFF\0\0\0\0WAVE", False),
        (b"BM" + struct.pack("<IIII", 100, 0, 54, 40), True),
        (b"BMW is a car maker from Munich", False),
        (b"\0\0\0\x1cftypavif", True),
        (b"\0\0\0\x1cftypisom", False),
        (b"", False),
        (zlib.compress(b"text"), False),
    ],
)
def test_first_bytes(head: bytes, picture: bool) -> None:
    assert looks_like_picture(head) is picture
