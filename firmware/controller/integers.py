"""Numbers without floats: decimal text, rounding and square roots in whole numbers."""


def parse_decimal(text: str, places: int) -> int:
    """Read `text` as a decimal number in units of 10**-places; digits beyond are rounded.

    Raises ValueError when it is no plain decimal number.
    """
    digits = text[1:] if text[:1] in ("-", "+") else text
    whole, _, fraction = digits.partition(".")
    if not (whole + fraction).isdigit():
        raise ValueError(text)
    unit: int = 10**places
    scaled = int(whole or "0") * unit
    if fraction:
        scaled += divide_rounded(int(fraction) * unit, 10 ** len(fraction))
    return -scaled if text[0] == "-" else scaled


def show_decimal(value: int, places: int) -> str:
    """Print `value`, which is in units of 10**-places, with exactly that many decimals."""
    sign = "-" if value < 0 else ""
    if places == 0:
        return sign + str(abs(value))
    unit: int = 10**places
    fraction = str(abs(value) % unit)
    return sign + str(abs(value) // unit) + "." + "0" * (places - len(fraction)) + fraction


def divide_rounded(numerator: int, denominator: int) -> int:
    """Divide by a positive number, round to the nearest, halves away from zero."""
    half_up = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -half_up if numerator < 0 else half_up


def integer_root(value: int) -> int:
    """Return the root of `value`, rounded down (Newton's method, from above)."""
    if value < 2:
        return value
    bits = 0
    rest = value
    while rest:
        rest >>= 2
        bits += 1
    guess = 1 << bits
    while True:
        better = (guess + value // guess) >> 1
        if better >= guess:
            return guess
        guess = better
