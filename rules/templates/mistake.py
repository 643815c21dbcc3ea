"""What a template's function says when it cannot."""


class FunctionError(ValueError):
    """A function was called with what it cannot take."""
