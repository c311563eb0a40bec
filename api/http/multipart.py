"""Files in a form, as they arrive: never held whole, never on disk."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from api.errors import Invalid
from api.http.bodies import PatientBody

FILES_PER_FORM_MAX = 100
FIELDS_PER_FORM_MAX = 100
"""That are no files."""
BESIDE_FILES_BYTES_MAX = 256 * 1024
"""Of all that is not the content of a file: headers, fields, what stands before and after the form."""
FILENAME_BYTES_MAX = 255
"""As Linux has it."""


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form. `content` must be read before the next file is asked for; what is left of it is skipped.

    Reading raises `Invalid` when the form ends in the middle of the file.
    """

    filename: str
    content: AsyncIterator[bytes]


@dataclass(slots=True)
class _Begin:
    filename: str | None


class _Data(bytes):
    __slots__ = ()


class _End:
    pass


class _Events:
    """What the parser finds, in order; holds no more than one chunk of the body at a time."""

    def __init__(self) -> None:
        self.found: deque[_Begin | _Data | _End] = deque()
        self.finished = False
        self.content_bytes = 0
        """Of files, so far."""
        self._header, self._value = b"", b""
        self._filename: str | None = None

    def on_part_begin(self) -> None:
        self._filename = None

    def on_header_begin(self) -> None:
        self._header, self._value = b"", b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = parse_options_header(self._value)[1].get(b"filename")
            self._filename = None if name is None else _checked(name)

    def on_headers_finished(self) -> None:
        self.found.append(_Begin(self._filename))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is not None:
            self.content_bytes += end - start
        self.found.append(_Data(data[start:end]))

    def on_part_end(self) -> None:
        self.found.append(_End())

    def on_end(self) -> None:
        self.finished = True


class FormFiles:
    """The files of a `multipart/form-data` body, in order. Fields that are no files are skipped, and are no reason to
    wait any longer."""

    def __init__(self, content_type: str | None, body: PatientBody) -> None:
        """Raises: Invalid when the content type is not that of a form."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Invalid(
                "Send the files as multipart/form-data, or one file by PUT as it is.", code="UNSUPPORTED_MEDIA_TYPE"
            )
        self._body = body
        self._body_bytes = 0
        self._events = _Events()
        self._parser = _parser(boundary, self._events)

    async def __aiter__(self) -> AsyncIterator[FormFile]:
        files = fields = 0
        while (event := await self._next()) is not None:
            if not isinstance(event, _Begin):
                continue
            if event.filename is None:
                fields += 1
                if fields > FIELDS_PER_FORM_MAX:
                    raise _malformed(f"it has more than {FIELDS_PER_FORM_MAX} fields that are no files")
                continue
            files += 1
            if files > FILES_PER_FORM_MAX:
                raise Invalid(f"At most {FILES_PER_FORM_MAX} files are accepted at once.", code="MALFORMED_FORM")
            self._body.went_on()
            content = self._content()
            yield FormFile(event.filename, content)
            async for _ in content:
                pass

    async def _content(self) -> AsyncIterator[bytes]:
        while not isinstance(event := await self._next(), _End):
            if event is None:
                raise _malformed("it ends in the middle of a file")
            if isinstance(event, _Data):
                self._body.went_on()
                yield event

    async def _next(self) -> _Begin | _Data | _End | None:
        while not self._events.found:
            chunk = await self._body.next()
            if chunk is None:
                if not self._events.finished:
                    raise _malformed("its end is missing")
                return None
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise _malformed(str(error)) from None
            self._body_bytes += len(chunk)
            if self._body_bytes - self._events.content_bytes > BESIDE_FILES_BYTES_MAX:
                raise Invalid(
                    f"The form has more than {BESIDE_FILES_BYTES_MAX:,} bytes beside its files.", code="BODY_TOO_LARGE"
                )
        return self._events.found.popleft()


def _parser(boundary: bytes, events: _Events) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": events.on_part_begin,
                "on_header_begin": events.on_header_begin,
                "on_header_field": events.on_header_field,
                "on_header_value": events.on_header_value,
                "on_header_end": events.on_header_end,
                "on_headers_finished": events.on_headers_finished,
                "on_part_data": events.on_part_data,
                "on_part_end": events.on_part_end,
                "on_end": events.on_end,
            },
        )
    except FormParserError as error:
        raise _malformed(str(error)) from None


def _checked(raw: bytes) -> str:
    """The name of a file, which is to be a name and not a path."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise _malformed("the name of a file is not UTF-8") from None
    if not name or name in {".", ".."} or "/" in name or "\0" in name or len(raw) > FILENAME_BYTES_MAX:
        raise Invalid(
            "The name of a file must be 1 to 255 bytes, without slashes; `.` and `..` are no names.",
            code="INVALID",
            path=("filename",),
        )
    return name


def _malformed(why: str) -> Invalid:
    return Invalid(f"The form cannot be read: {why}.", code="MALFORMED_FORM")
