"""Meme text as a model should see it: without site marks, addresses, handles and invisible characters.

The caller keeps the original. What is done is fixed, in this order, and repeated until nothing changes, so that
cleaning what is clean changes nothing:

1. Characters. Lone surrogates, control and private-use characters, bidirectional controls (CVE-2021-42574), zero-width
   characters and hidden tags go; the joiners that emoji, Arabic and Indic scripts need stay. Letters in disguise
   (full-width, mathematical, ligatures) become plain; the text is composed (NFC); at most four marks stay on a letter.
2. Site marks: `imgflip.com`, `makeameme.org`, `made with mematic`, `quickmeme` alone on a line ...
3. Web and mail addresses, and `@handles`.
4. `#hashtags` stay as words, `#StayAtHome` as three.
5. White space is folded; empty lines go, the others stay lines.
"""

from __future__ import annotations

import re
import unicodedata

from memescope.perception.scripts import script_of_letter

_SITES = (
    "9gag", "astrologymemes", "awwmemes", "ballmemes", "cheezburger", "diylol", "dopl3r", "esmemes", "funnyjunk",
    "generatememes", "icanhascheezburger", "ifunny", "imgflip", "kapwing", "knowyourmeme", "livememe", "makeagif",
    "makeameme", "me.me", "mematic", "memearsenal", "meme-arsenal", "memebase", "memecenter", "memecreator",
    "memecrunch", "memedroid", "memegen", "memegenerator", "meme-generator", "memes.com", "memeshappen", "memesmonkey",
    "onsizzle", "quickmeme", "ragegenerator", "sizzle", "starecat", "troll.me", "uberhumor", "weknowmemes", "zipmeme",
)  # fmt: skip
_SITE = "(?:" + "|".join(re.escape(site) for site in sorted(_SITES, key=len, reverse=True)) + ")"
_END = r"(?:com|net|org|co|me|io|info|ru|us)"
_MADE = r"(?:made|created|generated|downloaded|posted)\s+(?:with|on|in|by|at|using|from|via)|via|from"
# A site's mark with its ending wherever it stands; its bare name only where that is the whole line, since people do
# write sentences about 9gag. OCR often loses the dot of so small a print.
_MARK = re.compile(
    rf"(?<![\w@])(?:(?:{_MADE})[ ]+)?(?:www[ ]?\.[ ]?)?{_SITE}[ ]?[.,]?[ ]?{_END}(?!\w)(?:/\S*)?", re.IGNORECASE
)
_MARK_LINE = re.compile(
    rf"^\W*(?:(?:{_MADE})\W+)?{_SITE}(?:\W?{_END})?\W*$|^\W*(?:{_MADE})[ ]+(?:a[ ]+)?meme[ ]?generator\W*$",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(
    r"""(?<![\w@.+-])(?:
        (?:https?|ftp)[ ]?:[ ]?//\S*
        | www[ ]?\.[ ]?\w\S*
        | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
        | (?:[a-z0-9-]+\.)+(?:com|net|org|info|biz|edu|gov|io|tv|co\.uk)(?!\w)(?:/\S*)?
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_HANDLE = re.compile(r"(?<![\w@])@+\w+(?:\.\w+)*")
_HASHTAG = re.compile(r"(?<![\w&])[#＃]+(\w+)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|_+")

_ZWNJ, _ZWJ, _EMOJI_STYLE = "\u200c", "\u200d", "\ufe0f"
_JOINING = {"Arab", "Deva", "Beng", "Guru", "Gujr", "Taml", "Telu", "Knda", "Mlym", "Sinh", "Khmr", "Mymr"}
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_MOST_MARKS = 4


def clean(text: str) -> str:
    """The text without what is not its author's words. Any str is fine, lone surrogates included; never raises.

    `clean(clean(text)) == clean(text)`.
    """
    before = None
    while text != before:
        before = text
        text = _once(text)
    return text


def _once(text: str) -> str:
    text = _characters(text)
    text = _MARK.sub(" ", text)
    text = _MARK_LINE.sub(" ", text)
    text = _ADDRESS.sub(" ", text)
    text = _HANDLE.sub(" ", text)
    text = _HASHTAG.sub(lambda tag: _HUMP.sub(" ", tag.group(1)), text)
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _characters(text: str) -> str:
    """Step 1. `isprintable` ASCII, nearly every text, takes the short way."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    text = text.replace("\r\n", "\n")
    kept = []
    for place, character in enumerate(text):
        following = text[place + 1] if place + 1 < len(text) else ""
        kept.append(_character(character, text[place - 1] if place else "", following))
    return _few_marks(unicodedata.normalize("NFC", "".join(kept)))


def _character(character: str, before: str, following: str) -> str:
    """What stays of one character between two others: itself, a plain form, a space, a newline or nothing."""
    category = unicodedata.category(character)
    if character in "\n\r\v\f\x85\u2028\u2029":
        return "\n"
    if character == "\t" or category == "Zs" or character == "\u2800":
        return " "
    if character in (_ZWNJ, _ZWJ):
        return character if _joins(character, before, following) else ""
    if category in ("Cc", "Cf", "Cs", "Co") or character in _INVISIBLE or _is_noncharacter(character):
        return ""
    if "\ufe00" <= character <= _EMOJI_STYLE or "\U000e0100" <= character <= "\U000e01ef":
        return character if character == _EMOJI_STYLE and _is_emoji(before) else ""
    if _is_disguised(character):
        return unicodedata.normalize("NFKC", character)
    return character


def _joins(joiner: str, before: str, following: str) -> bool:
    """Whether a joiner does something here: between emoji (ZWJ), or after a letter or mark of a joining script."""
    if joiner == _ZWJ and _is_emoji(following) and (_is_emoji(before) or before == _EMOJI_STYLE):
        return True
    return bool(before and following) and {script_of_letter(before), script_of_letter(following)} <= _JOINING


def _is_emoji(character: str) -> bool:
    """Pictographs, skin tones, and the digits and signs that keycaps are made of."""
    return bool(character) and (unicodedata.category(character) in ("So", "Sk") or character in "0123456789#*‼⁉")


def _is_noncharacter(character: str) -> bool:
    code = ord(character)
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _is_disguised(character: str) -> bool:
    """Letters and digits that are plain ones in another dress: full-width, mathematical alphabets, Latin ligatures."""
    return (
        "\uff10" <= character <= "\uff19"
        or "\uff21" <= character <= "\uff3a"
        or "\uff41" <= character <= "\uff5a"
        or "\U0001d400" <= character <= "\U0001d7ff"
        or "\ufb00" <= character <= "\ufb06"
    )


def _few_marks(text: str) -> str:
    """At most `_MOST_MARKS` combining marks in a row (some "glitch" text stacks dozens on each letter)."""
    kept, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if run <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def letters(text: str) -> str:
    """Letters and digits alone, case folded and in one normal form."""
    # Marks stay: in Hindi or Arabic they are the vowels.
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum() or unicodedata.category(c) in ("Mn", "Mc"))
