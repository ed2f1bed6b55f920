"""What the authors' real files hold, counted with other tools: rows, labels, and what is wrong with them."""

from __future__ import annotations

# Rows by split, and labels by split and native field, as the files hold them (FORMATS.md of the shared data).
ROWS = {
    "araieval24": {"train": 2143, "val": 312},
    "fhm": {"train": 8500, "val": 540, "test": 2000, "val_seen": 500, "test_seen": 1000},
    "fhm_fine_grained": {"train": 8500, "val": 540, "val_seen": 500, "test_seen": 1000},
    # FORMATS.md counts 71 rows in the second file: it takes the first of the 72 for a header.
    "german_fhm": {"val": 500, "test": 72},
    "harmc": {"train": 3013, "val": 177, "test": 354},
    "harmp": {"train": 2938, "val": 177, "test": 355},
    "hatred": {"train": 2982, "test": 246},
    "indonesian_misogyny": {"test": 628},
    "mami": {"train": 9000, "val": 1000, "test": 1000},
    "memecap": {"test": 559},
    "memotion7k": {"train": 6992},
    "mmsd": {"val": 2410, "test": 2409},
    "mmsd2": {"val": 2410, "test": 2409},
    "multi3hate": {"test": 1500},
    # One more in each file than FORMATS.md counts, for the same reason.
    "muse_more": {"train": 2983, "val": 175, "test": 352},
    "propaganda_memes": {"train": 687, "val": 63, "test": 200},
    "romemes": {"train": 369, "val": 46, "test": 47},
    "romemes_sample": {"train": 100},
    "semeval21t6": {"train": 688, "val": 63, "test": 200},
    "toxicn_mm": {"train": 9600, "test": 2400},
    "twitter2015": {"train": 3179, "val": 1122, "test": 1037},
    "twitter2017": {"train": 3562, "val": 1176, "test": 1234},
}
PROBLEMS = {
    # 45 hateful rows without an attack type and 2 without a category that a majority chose.
    "fhm_fine_grained": {"contradiction": 47},
    # 40 harmful rows without a target and one without an intensity; 12 harmless ones with a target.
    "harmp": {"missing-field": 41, "contradiction": 12},
    "mami": {"contradiction": 4},
    # 481 rows of the release cut out of other rows' cells; 9 pictures that match none of its rows.
    "memotion7k": {"columns": 481, "missing-field": 9},
    "toxicn_mm": {"contradiction": 1},
}


LABELS = [
    ("araieval24", "train", "class", {"not_propaganda": 1540, "propaganda": 603}),
    ("araieval24", "val", "class", {"not_propaganda": 224, "propaganda": 88}),
    ("fhm", "train", "hate", {"not_hateful": 5481, "hateful": 3019}),
    ("fhm", "val", "hate", {"not_hateful": 340, "hateful": 200}),
    ("fhm", "test", "hate", {"not_hateful": 1250, "hateful": 750}),
    ("fhm", "val_seen", "hate", {"not_hateful": 253, "hateful": 247}),
    ("fhm", "test_seen", "hate", {"not_hateful": 510, "hateful": 490}),
    ("fhm_fine_grained", "train", "hate", {"not_hateful": 5493, "hateful": 3007}),
    ("fhm_fine_grained", "val", "hate", {"not_hateful": 341, "hateful": 199}),
    ("fhm_fine_grained", "val_seen", "hate", {"not_hateful": 254, "hateful": 246}),
    ("fhm_fine_grained", "test_seen", "hate", {}),
    (
        "fhm_fine_grained",
        "train",
        "protected_category",
        {"religion": 1078, "race": 1008, "sex": 746, "nationality": 325, "disability": 255},
    ),
    (
        "fhm_fine_grained",
        "train",
        "attack",
        {
            "dehumanizing": 1318,
            "inferiority": 658,
            "inciting_violence": 407,
            "mocking": 378,
            "contempt": 235,
            "slurs": 205,
            "exclusion": 114,
        },
    ),
    ("german_fhm", "val", "hate", {"not_hateful": 253, "hateful": 247}),
    ("german_fhm", "test", "hate", {"not_hateful": 48, "hateful": 24}),
    ("harmc", "train", "harm_intensity", {"not_harmful": 1949, "somewhat_harmful": 882, "very_harmful": 182}),
    ("harmc", "val", "harm_intensity", {"not_harmful": 116, "somewhat_harmful": 51, "very_harmful": 10}),
    ("harmc", "test", "harm_intensity", {"not_harmful": 230, "somewhat_harmful": 103, "very_harmful": 21}),
    (
        "harmc",
        "train",
        "target",
        {"none": 1949, "individual": 413, "community": 321, "society": 255, "organization": 75},
    ),
    ("harmc", "test", "target", {"none": 230, "individual": 119, "community": 3, "society": 2}),
    # The authors count 123 very harmful train memes; the intensity of one row is empty.
    ("harmp", "train", "harm_intensity", {"not_harmful": 1450, "somewhat_harmful": 1365, "very_harmful": 122}),
    ("harmp", "val", "harm_intensity", {"not_harmful": 88, "somewhat_harmful": 81, "very_harmful": 8}),
    ("harmp", "test", "harm_intensity", {"not_harmful": 184, "somewhat_harmful": 159, "very_harmful": 12}),
    ("hatred", "train", "hate", {"hateful": 2982}),
    ("indonesian_misogyny", "test", "hate", {"not hate": 421, "hate": 207}),
    ("indonesian_misogyny", "test", "appropriateness", {"appropriate": 374, "not appropriate": 254}),
    *(
        ("mami", split, field, {"no": no, "yes": yes})
        for split, fields in {
            "train": {
                "misogynous": (4500, 4500),
                "shaming": (7849, 1151),
                "stereotype": (6466, 2534),
                "objectification": (7026, 1974),
                "violence": (8147, 853),
            },
            "val": {
                "misogynous": (500, 500),
                "shaming": (877, 123),
                "stereotype": (724, 276),
                "objectification": (772, 228),
                "violence": (900, 100),
            },
            "test": {
                "misogynous": (500, 500),
                "shaming": (854, 146),
                "stereotype": (650, 350),
                "objectification": (652, 348),
                "violence": (847, 153),
            },
        }.items()
        for field, (no, yes) in fields.items()
    ),
    (
        "memotion7k",
        "train",
        "sentiment5",
        {"positive": 3127, "neutral": 2201, "very_positive": 1033, "negative": 480, "very_negative": 151},
    ),
    ("memotion7k", "train", "humour", {"funny": 2447, "very_funny": 2237, "not_funny": 1648, "hilarious": 651}),
    ("mmsd", "val", "sarcasm", {"not_sarcastic": 1451, "sarcastic": 959}),
    ("mmsd", "test", "sarcasm", {"not_sarcastic": 1450, "sarcastic": 959}),
    ("mmsd2", "val", "sarcasm", {"not_sarcastic": 1368, "sarcastic": 1042}),
    ("mmsd2", "test", "sarcasm", {"not_sarcastic": 1372, "sarcastic": 1037}),
    ("muse_more", "train", "sarcasm", {"sarcastic": 2983}),
    ("propaganda_memes", "train", "propaganda", {"propaganda": 658, "none": 29}),
    ("romemes", "train", "sentiment", {"Negative": 176, "Neutral": 125, "Positive": 68}),
    ("romemes", "val", "sentiment", {"Negative": 22, "Neutral": 13, "Positive": 11}),
    ("romemes", "test", "sentiment", {"Negative": 23, "Neutral": 14, "Positive": 10}),
    (
        "romemes",
        "train",
        "emotion",
        {"Surprise": 111, "Sadness": 88, "Joy": 70, "Anger": 63, "Fear": 29, "Love": 8},
    ),
    ("romemes", "val", "emotion", {"Surprise": 15, "Sadness": 7, "Anger": 7, "Joy": 7, "Fear": 7, "Love": 3}),
    ("romemes", "test", "emotion", {"Surprise": 12, "Sadness": 11, "Joy": 10, "Anger": 9, "Love": 3, "Fear": 2}),
    ("romemes", "train", "real_fake", {"Real": 230, "Fake": 125, "DeepFake": 14}),
    ("romemes", "test", "political", {"No": 34, "Yes": 13}),
    ("romemes_sample", "train", "real_fake", {"Real": 71, "Fake": 29}),
    (
        "romemes_sample",
        "train",
        "emotion",
        {"Surpriza": 27, "Tristete": 24, "Frica": 17, "Manie": 13, "Bucurie": 12, "Dragoste": 7},
    ),
    ("romemes_sample", "train", "complexity", {"Simple": 81, "Combination": 19}),
    ("toxicn_mm", "train", "harmful", {"not_harmful": 6525, "harmful": 3075}),
    # FORMATS.md counts type 0 6,526 times: once in a harmful row, which has no type here.
    (
        "toxicn_mm",
        "train",
        "type",
        {
            "not_harmful": 6525,
            "general_offense": 1211,
            "targeted": 777,
            "sexual_innuendo": 756,
            "dispirited_culture": 330,
        },
    ),
    ("toxicn_mm", "train", "modality", {"text": 1768, "image": 275}),
    ("toxicn_mm", "test", "harmful", {"not_harmful": 1659, "harmful": 741}),
    (
        "toxicn_mm",
        "test",
        "type",
        {
            "not_harmful": 1659,
            "general_offense": 295,
            "targeted": 204,
            "sexual_innuendo": 166,
            "dispirited_culture": 76,
        },
    ),
    ("toxicn_mm", "test", "modality", {"text": 418, "image": 70}),
    *(
        (name, split, "aspect_sentiment", dict(zip(("negative", "neutral", "positive"), counts, strict=True)))
        for name, splits in {
            "twitter2015": {"train": (368, 1883, 928), "val": (149, 670, 303), "test": (113, 607, 317)},
            "twitter2017": {"train": (416, 1638, 1508), "val": (144, 517, 515), "test": (168, 573, 493)},
        }.items()
        for split, counts in splits.items()
    ),
]
