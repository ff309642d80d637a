"""How a share is written for people, everywhere: `37 %`."""


def percent(fraction: float, decimals: int = 0) -> str:
    """`37 %` of 0.37; with one decimal `37.0 %`."""
    return f"{100 * fraction:.{decimals}f} %"
