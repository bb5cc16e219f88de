"""The source of a method as HTML, with its parts of speech marked."""

from markupsafe import Markup


def highlighted(source: bytes) -> Markup:
    """Return Python source as escaped HTML, in which spans have the short class names of Pygments.

    Args:
        source: UTF-8, with or without a byte order mark.
    """
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    text = source.decode("utf-8-sig")
    return Markup(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True)))
