"""The leaderboard: a static page that opens from disk, shows which methods are better and how certain that is."""
