"""Language codes to two letters (ISO 639-1), where the language has such a code."""

import re

_THREE_LETTERS = """
af afr, am amh, ar ara, az aze, be bel, bg bul, bn ben, bs bos, ca cat, cs cze ces, cy wel cym,
da dan, de ger deu, el gre ell, en eng, eo epo, es spa, et est, eu baq eus, fa per fas, fi fin,
fr fre fra, ga gle, gl glg, gu guj, he heb, hi hin, hr hrv, hu hun, hy arm hye, id ind, is ice isl,
it ita, ja jpn, ka geo kat, kk kaz, kn kan, ko kor, ku kur, la lat, lt lit, lv lav, mk mac mkd,
ml mal, mn mon, mr mar, ms may msa, my bur mya, nb nob, ne nep, nl dut nld, nn nno, no nor, pa pan,
pl pol, ps pus, pt por, ro rum ron, ru rus, sa san, si sin, sk slo slk, sl slv, sq alb sqi, sr srp,
sv swe, sw swa, ta tam, te tel, th tha, tl tgl, tr tur, uk ukr, ur urd, uz uzb, vi vie, yi yid,
zh chi zho, zu zul
"""
_NAMES = """
ar arabic, cs czech, da danish, de german, el greek, en english, es spanish, fa persian, fi finnish,
fr french, he hebrew, hi hindi, hu hungarian, id indonesian, it italian, ja japanese, ko korean,
la latin, nl dutch, no norwegian, pl polish, pt portuguese, ro romanian, ru russian, sv swedish,
tr turkish, uk ukrainian, vi vietnamese, zh chinese
"""
_TO_TWO = {
    longer: two
    for entry in f"{_THREE_LETTERS},{_NAMES}".split(",")
    for two, *others in [entry.split()]
    for longer in others
}
_TWO_LETTERS = re.compile(r"[a-z]{2}")


def language_code(text: str) -> str | None:
    """Two letters where known, else the text in lower case; None where it holds no letter."""
    lowered = text.strip().lower().replace("_", "-")
    primary = lowered.split("-")[0].strip()
    if _TWO_LETTERS.fullmatch(primary):
        return primary
    if not any(c.isalpha() for c in lowered):
        return None
    return _TO_TWO.get(primary, lowered)
