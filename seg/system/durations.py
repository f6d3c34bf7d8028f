"""Durations as text for command output and pages."""


def format_duration(seconds: float) -> str:
    """Format a duration with the precision that suits its length.

    Args:
        seconds: Duration in seconds, not negative.

    Returns:
        For example "45 s", "12 min" or "2 h 05 min".
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
