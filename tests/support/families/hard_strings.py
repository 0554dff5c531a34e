"""Strings on which tokenizers differ: scripts, spaces, numbers, signs and invalid forms."""

# ruff: noqa: RUF001 - characters that look like others are what tokenizers differ on

from itertools import product
from typing import Final

_WORDS: Final = (
    "the",
    "The",
    "THE",
    "don't",
    "DON'T",
    "we'LL",
    "it’s",
    "naïve",
    "Straße",
    "ﬁne",
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
    "Привет",
    "東京",
    "日本語です",
    "한국어",
    "ภาษาไทย",
    "नमस्ते",
    "مرحبا",
    "שלום",
    "e\u0301",
    "🙂",
    "👨‍👩‍👧‍👦",
    "🇫🇷",
    "snake_case",
    "camelCaseHTTPServer",
    "x2y",
)
_SPACES: Final = (
    "",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\n\n",
    " \n",
    "\r\n",
    "\u00a0",
    "\u3000",
    "\u200b",
)
_NUMBERS: Final = (
    "0",
    "7",
    "42",
    "123",
    "1234",
    "12345678",
    "3.14",
    "1,000",
    "1e-9",
    "٣٤",
    "²",
    "½",
    "Ⅻ",
)
_SIGNS: Final = (
    ".",
    "...",
    "?!",
    "--",
    "->",
    "({[",
    "//",
    "'",
    "''",
    '"',
    "#!",
    "$5",
    "€",
    "„",
    "，",
    "。",
    "_",
    "__init__",
)
_TEXTS: Final = (
    'for (int i = 0; i < 10; ++i) { printf("%d\\n", i); }',
    "def f(x):\n    return x  # done\n\n\n",
    "https://example.com/a?b=c&d=%20#e",
    "Once upon a time, there was a little girl.",
    "a" * 70,
    "ab" * 40,
    "!" * 20,
    "=" * 33,
    " " * 17,
    "\n" * 9,
    "1" * 40,
    "I'm I'M i've I'd'd 'll 's",
    "A'B'C l'été d'Artagnan O'Neill's",
    "tabs\tand\tmore\t\ttabs",
    "trailing space ",
    " leading space",
    'x = {"a": [1, 2.5, null, true]}',
    "<b>bold</b> &amp; <|not_special|>",
    "C++ C# F# .NET",
    "\u0000\u0001\u001f\u007f",
    "\ufeffBOM",
    "a\u202eb",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𒀀",
    "Ǆ ǅ ǆ ﷽",
    "a\u0300\u0301\u0302\u0303",
    "½ ⅓ ① ⑩ ㊗",
    "،؛؟ 。、！",
    "1st 2nd 3rd 4th",
)
HARD_STRINGS: Final = tuple(
    dict.fromkeys(
        (
            *_TEXTS,
            *_WORDS,
            *_NUMBERS,
            *_SIGNS,
            *(
                f"{word}{space}{number}"
                for word, (space, number) in zip(
                    _WORDS * 2, product(_SPACES[1:], _NUMBERS[::3]), strict=False
                )
            ),
            *(
                f"{space}{word}{sign}"
                for word, (space, sign) in zip(
                    _WORDS[::-1] * 2, product(_SPACES, _SIGNS[::3]), strict=False
                )
            ),
            *(
                f"{first}{space}{second}"
                for (first, second), space in zip(
                    zip(_WORDS, _WORDS[5:] + _WORDS[:5], strict=True), _SPACES * 3, strict=False
                )
            ),
        )
    )
)
"""At least 200."""
