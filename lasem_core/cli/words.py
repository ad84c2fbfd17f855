"""Words that several commands take, read in one place."""

from __future__ import annotations

from lasem_core.errors import LasemError


def key_values(option: str, words: list[str] | None, example: str) -> dict[str, str]:
    """KEY=VALUE words of `option` as a mapping; a value may be empty (`--set em.groups=`), a key may not.

    Raises LasemError, with the `example`, for a word of another form.
    """
    pairs = [word.partition("=") for word in words or ()]
    for word, (key, sign, _) in zip(words or (), pairs, strict=True):
        if not (key and sign):
            raise LasemError(f"{option} {word}: write it as KEY=VALUE, e.g. {example}")
    return {key: value for key, _, value in pairs}


def settings_of(words: list[str] | None) -> dict[str, str]:
    """`--set` words as dotted settings of a RunSpec."""
    return key_values("--set", words, "em.prior=count")
