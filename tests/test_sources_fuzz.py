"""Whatever lies in a dataset's files, a reader that was never run on them notes what is wrong and reads on."""

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memescope.datasets.catalogue import load_sources
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.taxonomy import load_taxonomy

SOURCES = {name: source for name, source in load_sources().items() if source.card.verified != "real-file"}
KEYS = [
    "id",
    "image",
    "text",
    "label",
    "labels",
    "img_path",
    "class_label",
    "hate_label",
    "aspect",
    "polarity",
    "explanation",
    "tweet_text",
    "1",
]
EMOTIONS = "sentiment category,sentiment degree,intention detection,offensiveness detection,metaphor occurrence"
HEADERS = {
    "MIMIC2024.csv": "FileName,ExtractedText,Misogyny,Objectification,Prejudice,Humiliation",
    "BanglaAbuseMeme_annotation.csv": "Ids,sentiment,sarcasm,vulgar,abuse,target",
    "final_dataset.csv": "index,image,content,label",
    "dataset.csv": "image,label",
    "labels.csv": "image,label,text",
    "train_hate.csv": "image_name,Captions,Label",
    "label_E.csv": f"file_name,{EMOTIONS}",
    "label_C.csv": f"images_name,{EMOTIONS}",
    "E_text.csv": "file_name,text",
    "labelResultAll.txt": "ID\ttext,image",
    "train_raw.tsv": "a\tb\tc\td\te",
}
RELEASED = ("en/Hateful_en_FHM/test.jsonl", "hi/Misogyny_Categories_hi_en__MIMIC2024/train.jsonl")

odd = st.sampled_from(["1.jpg", "../../x", "C:\\x", "http://x/y", "1", "hateful", "propaganda", "\ud800", "\x00", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=len(KEYS))
cells = odd | st.sampled_from(["0", "positive,neutral", "4(sorrow)", "Yes", '"', "a###b###c"]) | st.text(max_size=5)


@st.composite
def contents(draw, name: str) -> bytes:
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=60))
    if name.endswith(".jsonl"):
        return "\n".join(json.dumps(one) for one in draw(st.lists(objects, max_size=4))).encode()
    if name.endswith(".json"):
        whole = st.lists(objects, max_size=4) | st.dictionaries(st.sampled_from(["1", "2"]), values)
        return json.dumps(draw(whole)).encode()
    header = HEADERS.get(name, "a,b")
    mark = "\t" if name.endswith((".tsv", ".txt")) else ","
    width = header.count(mark) + 1
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=4))
    return "\n".join([header, *(mark.join(row) for row in rows)]).encode("utf-8", "replace")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(sorted(SOURCES)))
def test_no_reader_dies_of_a_file(data, name):
    source, taxonomy = SOURCES[name], load_taxonomy()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for pattern in source.files:
            choice = data.draw(st.sampled_from(RELEASED if name == "memelens" else pattern.split(" | ")))
            path = folder / choice.replace("*", "x")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.draw(contents(path.name)))
        for variant in source.variants or [None]:
            problems = Problems()
            for meme in read_source(source, folder, problems, variant=variant):
                assert meme.id
                assert isinstance(meme.text, str)
                for task, label in meme.labels.items():
                    taxonomy[task].check(label)
                json.dumps([meme.id, meme.text, meme.meta["native_labels"]]).encode()
            assert all(one.where for one in problems)
