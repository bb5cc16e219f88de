"""Submissions to the official board: gathering records, checking what a reviewer would, scoring them again."""
