"""The one error type users see: it names the thing, what was expected, what was found and what to do."""


class MemescopeError(Exception):
    """A failure the user can act on. The command line prints its text without a traceback."""


class UsageError(MemescopeError):
    """A wrong argument, option or input file: exit status 2 on the command line."""


class MissingExtra(MemescopeError):
    """A verb needs an optional part of the package that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}', which is not installed: pip install 'memescope[{extra}]'")
        self.extra = extra


class ModelLost(MemescopeError):
    """A model that will answer no further meme either: its server is gone, or refuses the key."""


class PictureError(MemescopeError):
    """A picture that cannot be read; the text names the cause."""
