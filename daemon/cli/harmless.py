"""What vendors and strangers wrote, on its way to a terminal."""


def harmless(text: str) -> str:
    """A foreign text on one line, without signs that steer a terminal or turn the writing direction."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
