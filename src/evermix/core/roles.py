"""What a column's name says of its role in a marketing-mix model.  Names only; the numbers are asked elsewhere."""

from __future__ import annotations

import re
from typing import Literal

Role = Literal[
    "derived",
    "competitor",
    "total",
    "spend",
    "exposure",
    "mediator",
    "outcome",
    "event",
    "price",
    "input",
    "media",
    "unknown",
]

DATE_WORDS = r"date|day|week|ds|time|period|timestamp"
END_WORDS = r"end|ending|ended|we"
START_WORDS = r"start|starting|begin|beginning|commencing|from|wc"
GEO_WORDS = r"geo|geography|region|market|city|territory|state|dma|country|location|store|area|zone"

_SPEND = r"spend|spends|spending|cost|costs|investment|invest|budget|adspend"
_NO_MEDIA = r"total|overall|goods|cogs|shipping|delivery|production"
_EXPOSURE = r"impressions?|imps|clicks?|views|grps?|trps?|reach"
_MEDIA = (
    r"tv|ctv|ott|television|radio|audio|ooh|dooh|outdoor|print|press|newspapers?|magazines?|cinema|facebook|fb|instagram|"
    r"meta|google|bing|microsoft|amazon|search|ppc|sem|shopping|pmax|display|banner|programmatic|video|youtube|tiktok|"
    r"snapchat|snap|pinterest|twitter|linkedin|reddit|social|affiliates?|influencers?|podcasts?|direct_mail|leaflets?|"
    r"x\d+|media\d*|channels?\d*|ch\d+"
)
_OUTCOME = (
    r"revenue|sales|turnover|gmv|y|kpi|conversions?|orders?|purchases?|transactions?|units|quantity|volume|customers?|"
    r"bookings?|leads?|installs?|signups?|subscriptions?|subscribers?|profit|margin|discounts?|refunds?|returns|roas|roi|cpa|aov|lift|"
    r"attributed|basket"
)
_MEDIATOR = (
    r"direct|all_other|organic|branded|brand_search|referral|email|"
    r"sessions?|visits?|visitors?|users|traffic|page_?views"
)
_DERIVED = (
    r"t|trend|time|index|idx|id|row|year|month|quarter|weekday|"
    r"(iso_?)?week(_?(no|num|number|of_year))?|day_?of_?(year|week|month)"
)
_INPUT = (
    r"temperature|temp|weather|sunshine|sun|humidity|rain|rainfall|precipitation|snow|unemployment|inflation|cpi|gdp|"
    r"consumer|confidence|sentiment|interest|trends|index|distribution|availability|stock|covid|stringency|mobility|"
    r"newsletters?|season|seasonality"
)
_SUMMED = r"competitors?|competition|newsletters?|rain|rainfall|precipitation|snow|sales|spend|volume"
_EVENT = (
    r"events?|event\d+|promos?|promotions?|promotional|holidays?|sale|xmas|christmas|easter|black|friday|flag|is|dummy|lockdown|"
    r"launch|school|bank"
)

TARGETS = (  # in the order of preference; each must match the whole name
    r"net_(revenue|sales)|(revenue|sales)_net",
    r"(total_|gross_)?(revenue|turnover|gmv)|revenue_total",
    r"(total_|gross_)?sales(_value|_amount|_revenue)?",
    r"y|kpi|target|response|dependent|dep_var|outcome",
    r"(all|total)_(purchases|orders|sales)_(original_price|price|value|revenue)",
    r"(.*_)?(revenue|turnover|gmv)(_.*)?|.*_sales|sales_.*",
    r"(all_|total_)?(conversions|orders|purchases|transactions|bookings|subscriptions|sign_?ups|leads|installs)",
    r"(all_|total_)?(units|units_sold|sales_units|volume|sales_volume|quantity|visits|visitors)",
)
_NO_TARGET = r"competitors?|competition|discounts?|refunds?|returns|rate|share|first|new|spend|cost|price_index|lift"


def words_of(column: str) -> str:
    """Return a column name in snake case: ``netRevenue (GBP)`` gives ``net_revenue_gbp``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", column.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def has_word(column: str, words: str) -> bool:
    """Return whether one of the words stands in a column's name as a word of its own."""
    return re.search(rf"(^|_)({words})(_|$)", words_of(column)) is not None


def role_by_name(column: str) -> Role:
    """Return the role that a column's name tells.

    The order matters: ``competitor_sales`` is no outcome, ``organic_search_clicks`` no paid channel, ``total_spend`` no
    channel.  Suffixes ``_S``, ``_I``, ``_P``, ``_B`` are the spend, impressions, clicks and baseline of Robyn's tables.
    """
    words = words_of(column)
    if re.fullmatch(_DERIVED, words):
        return "derived"
    rules: tuple[tuple[bool, Role], ...] = (
        (has_word(column, r"competitors?|competition"), "competitor"),
        (
            has_word(column, _SPEND) and has_word(column, _NO_MEDIA),
            "total",
        ),
        (has_word(column, _SPEND) or words.endswith("_s"), "spend"),
        (has_word(column, _MEDIATOR) and not has_word(column, "direct_mail"), "mediator"),
        (has_word(column, _EXPOSURE) or words.endswith(("_i", "_p")), "exposure"),
        (has_word(column, "price|prices") and not has_word(column, r"purchases?|orders?|original|revenue"), "price"),
        (has_word(column, _OUTCOME), "outcome"),
        (has_word(column, _INPUT) or words.endswith("_b"), "input"),
        (has_word(column, _MEDIA), "media"),
        (has_word(column, _EVENT) or re.fullmatch(r"event_?\d+", words) is not None, "event"),
    )
    return next((role for holds, role in rules if holds), "unknown")


def target_rank(column: str) -> int | None:
    """Return how well a name suits the target, 0 best; None if it does not."""
    words = re.sub(r"_(gbp|usd|eur|chf|cad|aud|sek|nok|dkk|pln|inr|jpy)$", "", words_of(column))
    if has_word(column, _NO_TARGET):
        return None
    return next((rank for rank, names in enumerate(TARGETS) if re.fullmatch(names, words)), None)


def why_left_out(column: str) -> str:
    """Return why a column that no role claimed is better left out."""
    match role_by_name(column):
        case "derived":
            return "follows from the date, which the model's trend and season see already"
        case "mediator":
            return "traffic that marketing and demand bring about; as a mediator it would hide the channels' effect"
        case "exposure":
            return "exposure of a channel, whose spend is used; it may be named as the channel's exposure"
        case "total":
            return "a total, or a cost that buys no media"
        case "media":
            return "the same medium as a spend column that was taken"
    return "its name tells no role; add it under controls if it drives the target and is not driven by it"


def sums_up(column: str) -> bool:
    """Return whether a week's value of a control is the sum of its days (amounts), not their mean (levels)."""
    return has_word(column, _SUMMED) and not has_word(column, "price|index|rate")


def exposure_stem(column: str) -> str:
    """Return a count's name without what it counts: ``google_search_clicks`` gives ``google_search``."""
    words = re.sub(r"_[ip]$", "", words_of(column))
    return re.sub(rf"_?({_EXPOSURE})$", "", words)


def channel_name(column: str, taken: set[str]) -> str:
    """Return a short free name for a channel, control or event of a column."""
    words = re.sub(r"_s$", "", words_of(column))
    short = re.sub(rf"_?({_SPEND})(_(gbp|usd|eur))?$", "", words) or words
    short = re.sub(r"^[^a-z]+", "", short)[:36] or "column"
    name, number = short, 2
    while name in taken:
        name, number = f"{short}_{number}", number + 1
    taken.add(name)
    return name
