"""The leaderboard: a static page that opens from disk, says who is better than whom and how sure that is."""

from kdbench.leaderboard.render import render_site
from kdbench.testsets.gallery import Gallery

__all__ = ["Gallery", "render_site"]
