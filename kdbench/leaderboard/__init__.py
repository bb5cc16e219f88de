"""The leaderboard: a static page that opens from disk and shows which methods are better and how certain that is."""
