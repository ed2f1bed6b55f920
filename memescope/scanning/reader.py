"""All that is done to one meme: decode, OCR, answer, explain, fingerprint, thumbnail. Runs in a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from memescope.curation.hashes import fingerprint
from memescope.meme import Meme
from memescope.models.reasons import Reasons, reasons_of, writes_reasons
from memescope.perception.language import detect
from memescope.perception.pictures import Picture, open_picture
from memescope.scanning.policy import Policy
from memescope.store.journal import Stored

if TYPE_CHECKING:
    from memescope.perception.ocr import OcrEngine

THUMBNAIL_SIDE = 192
"""Longest side of a thumbnail, pixels."""
EMBEDDING_DIM = 128
"""Width of the projected picture embedding that proposes near-duplicates."""


class MemeReader:
    """Reads one meme at a time with one thread. `settings` names everything its results depend on."""

    def __init__(self, model: str, policy: Policy, reasons: Reasons = "acted-on") -> None:
        from memescope.backbones import load_vision_encoder
        from memescope.models import load

        self.policy = policy
        self.model = load(model)
        self.reasons = reasons
        self._encoder = load_vision_encoder("effnet-lite0")
        self._ocr: OcrEngine | None = None
        rng = np.random.default_rng(0)
        # Johnson-Lindenstrauss: 128 random directions keep cosines well enough to propose candidates.
        self._projection = (rng.standard_normal((self._encoder.dim, EMBEDDING_DIM)) / EMBEDDING_DIM**0.5).astype(
            np.float32
        )

    @property
    def writes(self) -> bool:
        """Whether the model can say in words why."""
        return writes_reasons(self.model)

    @property
    def ocr(self) -> OcrEngine:
        """The OCR engine, loaded when the first meme without given text comes."""
        if self._ocr is None:
            from memescope.perception.ocr import load_ocr

            self._ocr = load_ocr()
        return self._ocr

    def read(self, data: bytes, text: str | None, lang: str | None) -> Stored:
        """One meme's record and blobs. `text` None: OCR finds it. `PictureError` when the picture cannot be read."""
        seconds: dict[str, float] = {}

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            start = time.perf_counter()
            yield
            seconds[name] = time.perf_counter() - start

        with stage("decode"):
            picture = open_picture(data)
        ocr_text = None
        if text is None:
            with stage("ocr"):
                ocr_text = self.ocr.read(picture).text
        said = ocr_text if text is None else text
        meme = Meme(image=picture, text=said or "", lang=lang or detect(said or ""))
        with stage("answer"):
            reading = self.model.answer([meme])[0]
        with stage("explain"):
            tasks = self.policy.explained_tasks(reading.answers)
            if tasks:
                reading.evidence = self.model.explain(meme, tasks)
        reasoned = self.writes and (self.reasons == "all" or (self.reasons == "acted-on" and bool(tasks)))
        if reasoned:
            with stage("reason"):
                reading.rationale = reasons_of(self.model, meme)
        with stage("fingerprint"):
            prints = fingerprint(picture).to_bytes()
            embedding = self._embedding(picture)
        with stage("thumbnail"):
            thumbnail = encode_thumbnail(picture)
        record = {
            "text": said or "",
            "ocr_text": ocr_text,
            "lang": meme.lang,
            "reading": asdict(reading),
            "reasoned": reasoned,
            "picture": {
                "sha256": picture.key,
                "width": picture.width,
                "height": picture.height,
                "format": picture.format,
            },
            "notes": list(picture.notes),
            "seconds": {name: round(value, 5) for name, value in seconds.items()},
        }
        return Stored(record, thumbnail, prints, embedding)

    def _embedding(self, picture: Picture) -> bytes:
        vector = self._encoder.pooled([picture])[0] @ self._projection
        return (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float16).tobytes()

    def settings(self) -> dict[str, Any]:
        """Names and versions of everything a reading depends on, apart from the meme itself."""
        from memescope import __version__
        from memescope.perception.ocr import OCR_VERSION
        from memescope.perception.tesseract import languages
        from memescope.taxonomy import load_taxonomy

        return {
            "memescope": __version__,
            "model": self.model.name,
            "model_version": self.model.version,
            "ocr": OCR_VERSION,
            "tesseract": sorted(languages()),
            "encoder": self._encoder.version,
            "taxonomy": load_taxonomy().version,
        }


def encode_thumbnail(picture: Picture) -> bytes:
    """The picture as WebP with its longest side at most `THUMBNAIL_SIDE`."""
    import cv2

    height, width = picture.pixels.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 60])
    if not done:
        raise RuntimeError("OpenCV could not encode a WebP thumbnail")
    return bytes(data)
