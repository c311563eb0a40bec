"""The program inside the machine: it does what the host asks for. Standard library only, and as little as possible.

A clone's first answer is part of what a user waits for, and an emulated machine runs Python 10 to 30 times slower than
this one. So nothing here imports what it can do without (asyncio, subprocess, json, logging, enum, typing, pathlib),
and requests are fields between zero bytes.
"""
