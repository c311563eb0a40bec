"""The guest link, on the wire. This module is the one place that defines it; both sides import it.

The link is one virtio-serial port, `PORT_NAME`: a stream of bytes each way, which outlives connections of the host.

Opening. The host sends `MAGIC` and `NONCE_BYTES` random bytes. The guest forgets everything of an earlier connection
and answers with `MAGIC` and the same nonce; the host drops every byte until it sees them. The first four bytes of
`MAGIC` are no possible length, so a guest that stands between two frames sees a preamble even if it never saw the end
of the connection before. One that stands inside a frame takes the preamble for payload and stays silent: the host
then sends `RESYNC_PADDING`, which is longer than any frame and in which no valid frame begins, and a preamble with a
new nonce. A guest that has just started sends `MAGIC` and zeros for a nonce, so that a host that was connected to its
predecessor learns that this one is gone.

Frames, all numbers little-endian: `length u32` (of the payload, at most `PAYLOAD_BYTES_MAX`), `stream u32`, `kind u8`,
payload. A stream is one request: the host chooses its number, which is not 0 and not in use, and sends one of the
request kinds; a body longer than a frame goes ahead of it in `PART` frames. The guest ends each stream with exactly
one of `DONE`, `FAILED`, `EXITED`, `END_OF_FILE` and `CLOSED`, the last as the answer to `CLOSE`. What the host sends to
a stream after that is ignored.

Credit. Frames that carry data (`DATA`; `STDOUT`, `STDERR`, `CONTENT`) use up credit: `FRAME_COST` and the length of the
payload, which is not empty. A stream begins with a window of `STDIN_WINDOW`, `FILE_WINDOW` or `OUTPUT_WINDOW` and gets
`CREDIT` back as its receiver gets rid of data. So each receiver's buffer of a stream is bounded by its window, in bytes
and in frames, and a receiver that stands still holds up its own stream only.
"""

from struct import Struct

PORT_NAME = "nestbox.agent"
MAGIC = b"\xffnestbx1"  # no end of it is a beginning of it
NONCE_BYTES = 16
PREAMBLE_BYTES = len(MAGIC) + NONCE_BYTES

HEADER = Struct("<IIB")
PAYLOAD_BYTES_MAX = 32 * 1024
# It ends a frame of which any part was missing, and one more header made of both.
RESYNC_PADDING = bytes(PAYLOAD_BYTES_MAX + 2 * HEADER.size)
REQUEST_BYTES_MAX = 3 << 20  # above what Linux takes as arguments and environment of a program (2 MiB)

FRAME_COST = 64
STDIN_WINDOW = 128 * 1024  # at most 2,048 frames
FILE_WINDOW = 256 * 1024  # at most 4,096 frames
OUTPUT_WINDOW = 256 * 1024  # at most 4,096 frames, stdout and stderr together
CREDIT_STEP = 32 * 1024  # credit is given back in steps of at least this

STREAMS_MAX = 256  # requests at once in one machine

# Requests. Strings are UTF-8 and end at a zero byte or at the end of the body.
IDENTIFY = 1  # IDENTITY, entropy, then sandbox id, hostname, machine id, NAME=VALUE…  → DONE, TIME of now
EXEC = 2  # COMMAND, then cwd, argv…, NAME=VALUE…  → STARTED, STDOUT and STDERR, EXITED
WRITE = 3  # WRITE_HEAD, path; then DATA…, END  → DONE with COUNT
READ = 4  # READ_HEAD, path  → INFO, CONTENT…, END_OF_FILE
PING = 5  # → DONE
# For a stream that is there, or is to be
PART = 6
DATA = 7
END = 8
CREDIT = 9  # COUNT; from both sides
CLOSE = 10  # kill or undo, and answer CLOSED
# Requests again. They came later, and guests that sleep in pauses know the others by their numbers.
RESIZE = 11  # COUNT: the disk has so many bytes now, and the file system is to have them  → DONE
CLOCK = 12  # TIME to be added to the clock  → DONE, TIME of now

# From the guest
DONE = 16
FAILED = 17  # a code of agent/errors.py, a zero byte, a sentence
STARTED = 18  # PID
STDOUT = 19
STDERR = 20
EXITED = 21  # EXIT
INFO = 22  # FILE_INFO
CONTENT = 23
END_OF_FILE = 24
CLOSED = 25

IDENTITY = Struct("<QH")  # nanoseconds since the epoch, bytes of entropy
COMMAND = Struct("<II")  # timeout in ms (0: none), number of arguments
WRITE_HEAD = Struct("<I")  # permission bits, 0: 0644
READ_HEAD = Struct("<QQ")  # offset and limit in bytes, limit 0: to the end
COUNT = Struct("<Q")
TIME = Struct("<q")  # nanoseconds
PID = Struct("<I")
EXIT = Struct("<iBBQ")  # exit code (128 + signal), signal or 0, timed out, duration in µs
FILE_INFO = Struct("<QIQ")  # bytes, permission bits, modified in ns since the epoch
