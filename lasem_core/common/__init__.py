"""What every room may use: errors, files written whole, random numbers by key, statistics.

Must not know any other room.
"""
