"""The 46 configurations of MemeLens (arXiv 2601.12539): a task of a dataset in a language, one folder of its release.

Names are those of the release, misspellings included (`propoganda_ar_ArMeme`, `MIMIC_Islamophpbia`). The released code
contradicts itself in places; the table follows its label map and its figures (38 datasets, 20 tasks, 9 languages and
Hindi-English): Harmful_Covid has three levels, MET-Meme's intentions are those of its authors, sentiment categories are
emotions, RoMemes has `deepfake`, not `fakenews`. Labels are in `taxonomy/mappings/memelens.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Configuration:
    """`folder` is the language folder of the release, `lang` the language itself; `source` our name of the dataset.

    `task` is the task's name among the paper's 20, None for sentiment and emotion, which are released but counted among
    neither tasks nor the paper's 38 datasets.
    """

    name: str
    folder: str
    lang: str
    source: str
    task: str | None


_TABLE = """
Hateful_en_FHM                            en  en     fhm                 Hateful
Hateful_en__MMHS                          en  en     mmhs150k            Hateful
Hateful_en__MIMIC_Islamophpbia            en  en     mimic_islamophobia  Hateful
Hateful_en__Multi3Hate                    en  en     multi3hate          Hateful
Hateful_de__Multi3Hate                    de  de     multi3hate          Hateful
Hateful_es__Multi3Hate                    es  es     multi3hate          Hateful
Hateful_hi__Multi3Hate                    hi  hi     multi3hate          Hateful
Hateful_zh__Multi3Hate                    zh  zh     multi3hate          Hateful
Hateful_bn__MUTE                          bn  bn     mute                Hateful
Hateful_ar__Prop2Hate-Meme                ar  ar     prop2hate_meme      Hateful
Harmful_Covid_en__HarMeme                 en  en     harmc               Harmful
Harmful_en__HarMeme                       en  en     harmp               Harmful
toxic_ru__Toxic_Memes_Detection_Dataset   ru  ru     toxic_memes_ru      Toxic
offensive_en__memotion                    en  en     memotion7k          Offensive
offensiveness_detection_en__MET_Meme      en  en     met_meme            Offensive
offensiveness_detection_zh__MET_Meme      zh  zh     met_meme            Offensive
abuse_bn__BanglaAbuseMeme                 bn  bn     bangla_abuse_meme   Abuse
misogynous_en__MAMI                       en  en     mami                Misogyny
Misogyny_hi_en__MIMIC2024                 hi  hi-en  mimic2024           Misogyny
Misogyny_Categories_hi_en__MIMIC2024      hi  hi-en  mimic2024           Misogyny
shaming_en__MAMI                          en  en     mami                Shaming
stereotype_en__MAMI                       en  en     mami                Stereotype
objectification_en__MAMI                  en  en     mami                Objectification
violence_en__MAMI                         en  en     mami                Violence
Target_Covid_en__HarMeme                  en  en     harmc               Target
Target_en__HarMeme                        en  en     harmp               Target
intention_detection_en__MET_Meme          en  en     met_meme            Intention
intention_detection_zh__MET_Meme          zh  zh     met_meme            Intention
metaphor_occurrence_en__MET_Meme          en  en     met_meme            Metaphor
metaphor_occurrence_zh__MET_Meme          zh  zh     met_meme            Metaphor
motivational_en__memotion                 en  en     memotion7k          Motivational
propoganda_ar_ArMeme                      ar  ar     armeme              Propaganda
political_ro__RoMemes                     ro  ro     romemes             Political
deepfake_ro__RoMemes                      ro  ro     romemes             Deepfake
humour_en__memotion                       en  en     memotion7k          Humor
sarcasm_en__memotion                      en  en     memotion7k          Sarcasm
sarcasm_bn__BanglaAbuseMeme               bn  bn     bangla_abuse_meme   Sarcasm
vulgar_bn__BanglaAbuseMeme                bn  bn     bangla_abuse_meme   Vulgarity
emotion_ro__RoMemes                       ro  ro     romemes             -
sentiment_ro__RoMemes                     ro  ro     romemes             -
sentiment_bn__BanglaAbuseMeme             bn  bn     bangla_abuse_meme   -
overall_sentiment_en__memotion            en  en     memotion7k          -
sentiment_category_en__MET_Meme           en  en     met_meme            -
sentiment_category_zh__MET_Meme           zh  zh     met_meme            -
sentiment_degree_en__MET_Meme             en  en     met_meme            -
sentiment_degree_zh__MET_Meme             zh  zh     met_meme            -
"""


def _configuration(line: str) -> Configuration:
    name, folder, lang, source, task = line.split()
    return Configuration(name, folder, lang, source, None if task == "-" else task)


CONFIGURATIONS = {one.name: one for one in map(_configuration, _TABLE.strip().splitlines())}
"""All 46 by name, the paper's 38 first."""
