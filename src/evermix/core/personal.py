"""Columns that should not be in a marketing feed at all: personal data, and amounts in several currencies.

Asked of every column of a delivery, used or not.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd

from evermix.core.panel import PLAIN_NUMBER, parse_dates

_EMAIL = r"[^\s@,;<>]+@[^\s@,;<>]+\.[A-Za-z]{2,}"
# In the address of a page, an e-mail address is written with a percent sign.
_CONTENT = {
    "e-mail addresses": _EMAIL + r"|[^\s%,;<>]%40[^\s@,;<>%]+\.[A-Za-z]{2,}",
    "IP addresses": r"^(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})$"
    r"|^(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$|^[0-9A-Fa-f:]*::[0-9A-Fa-f:]+$",
    "phone numbers": r"^(?:\+|00)[0-9][0-9 ()./-]{7,18}[0-9]$|^0[0-9]{2,4}[ /-][0-9][0-9 -]{4,10}[0-9]$"
    r"|^\(?[0-9]{3}\)?[ -][0-9]{3}-[0-9]{4}$",
    "payment cards": r"^(?:[0-9]{4}[ -]){3}[0-9]{1,7}$",
    "social security numbers": r"^[0-9]{3}-[0-9]{2}-[0-9]{4}$|^[A-Z]{2} ?(?:[0-9]{2} ?){3}[A-D]$",
    "device addresses": r"^(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$",
    "ids of visitors": r"^(?:GA|FB|fb)[0-9]?\.[0-9]\.[0-9]+\.[0-9]+$",
    "bank accounts": r"^[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?$",
}
_BY_CONTENT = tuple(_CONTENT)
# Words of a column name that no aggregated feed has, whatever the cells hold.
_NAMES = re.compile(
    r"(first|last|full|sur|given|family|middle|maiden|customer|contact|user|person|buyer|recipient)_?name"
    r"|surname|(?:customer|user|visitor|device|cookie|subscriber|patient|employee|household)_?id"
    r"|e_?mail(_?address)?|(phone|telephone|mobile|cell)(_?(number|no|nr))?|msisdn|ip(_?(address|addr|v4|v6))?"
    r"|(home|street|postal|billing|shipping)_?address|address|date_?of_?birth|birth_?(date|day)|dob|ssn"
    r"|social_?security(_?(number|no))?|national_?insurance(_?(number|no))?|passport(_?(number|no))?|iban"
    r"|credit_?card(_?(number|no))?|card_?number|idfa|gaid|aaid|advertising_?id|(hashed|sha256|md5)_?(e_?mail|phone)"
    r"|(e_?mail|phone)_?(hash|hashed|sha256|md5)|vorname|nachname|geburtsdatum|adresse|anschrift|prenom"
)
# Media are named so too (e-mail, mobile, phone): there only the cells tell people from money.
_ALSO_MEDIA = re.compile(r"e_?mail|phone|telephone|mobile|cell|address|ip")
_PERSON = r"^[A-Z][a-zà-ÿ'’-]+(?: [A-Z]\.?)?(?:,? (?:[a-z]{2,3} )?[A-Z][A-Za-zà-ÿ'’-]+)+$"
_FEWEST_PEOPLE = 3
_LONGEST_READ = 500
_PERSON_WORDS = {"customer", "contact", "buyer", "person", "user", "recipient", "client", "employee", "owner"}
_CURRENCY = {"currency", "currencies", "ccy", "curr", "cur", "waehrung", "devise"}


def words_of(name: str) -> list[str]:
    """Return the words of a column name in lower case."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.strip())
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def hide_addresses(text: str) -> str:
    """Return a text with its e-mail addresses taken out, for reports that many read."""
    return re.sub(_EMAIL, "[e-mail address]", text) if "@" in text else text


def without_personal_data(frame: pd.DataFrame, allowed: Collection[str]) -> pd.DataFrame | None:
    """Return a delivery with why it was not kept in the place of each cell of a personal column; None without one.

    `personal_columns` gives the same answer for both, so that a report is the same and the data need not be stored.
    """
    found = personal_columns(frame, allowed)
    if not found:
        return None
    out = []
    for name, text in frame.items():
        why = found.get(str(name))
        # One address among numbers costs its cell; a column of people costs them all.
        kept = text.str.strip().eq("") | ((why or "").endswith(_BY_CONTENT) & text.str.fullmatch(PLAIN_NUMBER))
        out.append(text if why is None else text.where(kept, f"[not kept: {why}]"))
    return pd.concat(out, axis=1)


def personal_columns(frame: pd.DataFrame, allowed: Collection[str]) -> dict[str, str]:
    """Return, by column name, why it looks personal; never the personal data themselves.

    Parameters
    ----------
    frame : DataFrame of text
        All columns of the delivery.
    allowed : collection of str
        Column names that a person has allowed.
    """
    out = {}
    for place, name in enumerate(map(str, frame.columns)):
        if name not in allowed and (why := _why_personal(name, frame.iloc[:, place])):
            out[name] = why
    return out


def _why_personal(name: str, text: pd.Series) -> str | None:
    if len(told := text[text.str.startswith("[not kept: ")]):
        return str(told.iloc[0]).removeprefix("[not kept: ").removesuffix("]")
    words = words_of(name)
    joined = "_".join(words)
    if _NAMES.fullmatch(joined) and not _ALSO_MEDIA.fullmatch(joined):
        return "its name"
    cells = text[text.str.contains(r"[A-Za-z@:+() /]|^0[0-9]|[.-].*[.-]", regex=True)].str.strip()
    cells = cells.str.slice(0, _LONGEST_READ)
    if _NAMES.fullmatch(joined) and len(cells) > len(text) / 2:
        return "its name, and text in it"
    if _is_long_digits(words, text):
        return "its name, and long numbers in it"
    if _are_card_numbers(text):
        return "numbers of payment cards in it"
    # A sign makes no phone of an amount: phones have no decimal point.
    cells = cells[~cells.str.fullmatch(PLAIN_NUMBER) | ~cells.str.contains(".", regex=False)]
    if cells.empty:
        return None
    for what, pattern in _CONTENT.items():
        count = int(cells.str.contains(pattern, regex=True).sum())
        if count and parse_dates(cells.head(50)).isna().any():
            return f"{count} cell(s) like {what}"
    if not _PERSON_WORDS & set(words) and joined != "name":
        return None
    people = cells[cells.str.contains(_PERSON, regex=True)]
    is_full = len(people) > len(text) / 2 and people.nunique() >= _FEWEST_PEOPLE
    return f"its name, and {len(people)} cells like names of people" if is_full else None


def _is_long_digits(words: list[str], text: pd.Series) -> bool:
    if not {"phone", "telephone", "mobile", "tel", "cell", "msisdn"} & set(words):
        return False
    return bool(text.str.fullmatch(r"[0-9]{10,15}").mean() > 0.5)


def _are_card_numbers(text: pd.Series) -> bool:
    """Return whether most cells are numbers with the check digit of payment cards (ISO/IEC 7812, Luhn 1954)."""
    told = text[text.str.fullmatch(r"[0-9]{13,19}")]
    return len(told) > len(text) / 2 and told.nunique() >= _FEWEST_PEOPLE and all(map(_passes_luhn, told.unique()))


def _passes_luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def currencies(frame: pd.DataFrame, geo: str | None) -> dict[str, str]:
    """Return the columns that name several currencies inside one geo, with what they name."""
    out = {}
    for place, name in enumerate(map(str, frame.columns)):
        if not _CURRENCY & set(words_of(name)):
            continue
        text = frame.iloc[:, place].str.strip()
        told = text[text.ne("") & ~text.str.fullmatch(r"[+-]?[0-9.]+")]
        whole = geo is None or list(frame.columns).count(geo) != 1
        by = pd.Series("", index=told.index) if whole else frame.loc[told.index, geo]
        if len(told) and int(told.groupby(by).nunique().max()) > 1:
            out[name] = ", ".join(
                f"{str(value)[:12]} ({count} rows)" for value, count in told.value_counts().head(4).items()
            )
    return out
