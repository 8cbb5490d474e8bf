"""Which errors are worth another try: the one place where the words for it stand.

Rules:

1. A kind or code is compared without case and separators: ``Throttling.RateQuota`` is ``throttlingratequota``. Servers
   put words of their own before and behind, so a stem counts wherever it stands.
2. What no waiting mends (money, keys, a request that is too long) wins over everything else.
3. A kind that blames the request (``invalid_…``) says nothing of another try, whatever else is in it. Another kind, the
   status, or the text may: some servers send a rate limit as ``invalid_request_error``.
4. The text of a message counts only in phrases that nobody uses for anything else. One without white space is a kind.
5. Of a refusal by status the status decides, and its body only takes back what the status promises (rule 2): gateways
   put kinds of their own around any refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_STEMS = (
    # Too much to do.
    *("overload", "capacity", "busy", "congest", "resourceexhausted", "systemresource", "highdemand"),
    *("ratelimit", "ratequota", "rateexceeded", "throttl", "toomanyrequest", "concurren"),
    *("requestlimit", "limitrequest", "limitburst", "rpmlimit", "tpmlimit", "qpslimit", "rpmexceeded", "tpmexceeded"),
    # A server that failed.
    *("servererror", "internalserver", "internalerror", "internalfailure", "upstream", "modelstream"),
    *(
        "unavailable",
        "notready",
        "badgateway",
        "gatewayerror",
        "connectionerror",
        "connectionreset",
        "econn",
        "networkerror",
    ),
    # One that took too long.
    *("timeout", "timedout", "deadlineexceeded"),
    *("tryagain", "retrylater"),
)
"""Parts of kinds and codes after which the same request may succeed."""

_WHOLE_WORDS = frozenset({"server", "internal", "api"})
"""Kinds that say so only if they say nothing else."""

_PERMANENT = (
    *("insufficientquota", "insufficientbalance", "insufficientcredit", "insufficientfund", "quotaexceeded"),
    *("currentquota", "billing", "payment", "credits", "arrear", "hardlimit", "dailylimit", "usagelimit"),
    *("authentic", "unauthorized", "permission", "forbidden", "accessdenied", "apikey", "tokenexpired", "suspended"),
    *("notfound", "contextlength", "contextwindow", "toolong", "toolarge", "contentfilter", "contentpolicy"),
    *("safety", "moderation", "legalreasons"),
)
"""Parts of kinds and codes that no waiting mends; some come with the status of a rate limit."""

_BLAMES_REQUEST = (
    *("invalid", "unsupported", "notsupported", "notallowed", "badrequest", "malformed", "missing", "unprocessable"),
    *("unknownparam", "unrecognized", "configuration"),
)

_PHRASES = re.compile(
    r"too many (?:concurrent )?requests|rate[ -]limit(?:s|ing)? (?:was |has been |is |were )?(?:reached|exceeded|hit)"
    r"|(?:exceed|exceeded|exceeds|hit|hitting|reached) (?:the |your |our |a )?rate[ -]limit|\brate exceeded"
    r"|(?:requests?|request) reached (?:\w+ )?max (?:rpm|tpm|qps)"
    r"|overloaded|(?:temporarily|currently|service) (?:is )?(?:\w+ )?unavailable"
    r"|(?:server|service|system|model)s? (?:is|are) (?:\w+ )?busy"
    r"|(?:try|retry|retrying) (?:your request |the request )?(?:again )?(?:later|in a (?:few|moment))"
    r"|(?:try again|retry) (?:in|after) (?:about )?\d|request timed out|upstream (?:\w+ )?(?:timed out|timeout)",
    re.IGNORECASE,
)

_CODES = frozenset({1302, 1303, 1305})
"""Codes of applications: those of z.ai for too many requests at once, too often, and an overload."""

_STATUSES = frozenset({408, 409, 425, 429, *range(500, 600), *_CODES})
"""Statuses of HTTP (RFC 9110, section 15.6). Larger numbers are codes of an application, and say nothing."""

_NAMES = r"error|type|error_type|code|error_code|status|reason"
_KIND = r"[\w.:/-]{1,1000}"
_KIND_IN_BODY = re.compile(rf"""["'](?:{_NAMES})\\{{0,4}}["'] ?: ?\\{{0,4}}["']({_KIND})\\{{0,4}}["']""")
"""A kind or code in the body of a refusal: JSON, also cut, or quoted in a text of another."""
_ONE_WORD = re.compile(rf"\s*({_KIND})\s*")

_LONGEST_NUMBER = 4
_LONGEST_TEXT = 1000
_SHOULD_RETRY = "x-should-retry"
_YES_AND_NO = frozenset({"true", "false"})


def is_retryable(signs: Iterable[str | int | None], message: str) -> bool:
    """Whether the same request may succeed later.

    Args:
        signs: The kind of the error, its code, its status: those that there are.
        message: Its text.
    """
    words: set[str] = set()
    numbers: set[int] = set()
    for sign in signs:
        if isinstance(sign, int):
            numbers.add(sign)
        elif sign:
            words.add(_plain(sign))
            if sign.isdecimal() and len(sign) <= _LONGEST_NUMBER:
                numbers.add(int(sign))
    if message and not re.search(r"\s", message):
        words.add(_plain(message))
    if _names_what_lasts(words):
        return False
    return (
        any(_promises(word) for word in words)
        or not numbers.isdisjoint(_STATUSES)
        or _PHRASES.search(message[:_LONGEST_TEXT]) is not None
    )


def is_lasting(body: str) -> bool:
    """Whether the body of a refusal names what no waiting mends, whatever its status says.

    >>> is_lasting('{"error": {"message": "Check your plan.", "code": "insufficient_quota"}}')
    True
    """
    kinds = _KIND_IN_BODY.findall(body)
    word = _ONE_WORD.fullmatch(body)
    return _names_what_lasts(map(_plain, kinds if word is None else (word[1],)))


def should_retry_of(headers: Mapping[str, str]) -> bool | None:
    """Whether the server asks for another try; ``None`` if it says nothing of it.

    >>> should_retry_of({"X-Should-Retry": "false"}), should_retry_of({})
    (False, None)
    """
    said = {value.strip().lower() for name, value in headers.items() if name.lower() == _SHOULD_RETRY}
    return None if said.isdisjoint(_YES_AND_NO) else "false" not in said


def _names_what_lasts(words: Iterable[str]) -> bool:
    return any(part in word for word in words for part in _PERMANENT)


def _promises(word: str) -> bool:
    """Whether a kind or code tells of what passes."""
    if any(part in word for part in _BLAMES_REQUEST):
        return False
    return word.removesuffix("exception").removesuffix("error") in _WHOLE_WORDS or any(part in word for part in _STEMS)


def _plain(text: str) -> str:
    """``overloaded_error`` and ``OverloadedError`` are one word."""
    return "".join(filter(str.isalnum, text[:_LONGEST_TEXT])).lower()
