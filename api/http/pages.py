"""The dashboard and the explorer: files that were built before, served as they are."""

import mimetypes
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from api.http.errors import error_response

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The same as in `frontend/csp.json`, which the dashboard is developed under: a test compares the two."""
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATED = "no-cache"
_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Nestbox</title>
<h1>The dashboard is not built</h1><p>Run <code>make setup</code>, then load this page again. The API works without it.
</html>"""


_NEVER_PAGES = ("/graphql/", "/assets", "/healthz/", "/readyz/")


class Pages:
    """Serves a directory. Paths without an extension are pages of the dashboard, which knows them itself: a browser
    that asks for one gets it, and a program that takes no HTML is told that there is nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()

    async def page(self, request: Request) -> Response:
        """Answers one request."""
        path = request.url.path
        if path in {"/explorer", "/explorer/"}:
            return await self._page("explorer.html")
        if path == "/":
            return await self._page("index.html")
        name = path.rpartition("/")[2]
        if "." not in name:
            wanted = "text/html" in request.headers.get("accept", "")
            return await self._page("index.html") if wanted and not path.startswith(_NEVER_PAGES) else _nothing(request)
        return await self._file(request, path)

    async def _page(self, name: str) -> Response:
        file = self._directory / name
        headers = {"content-security-policy": PAGE_POLICY, "cache-control": _REVALIDATED, "vary": "accept"}
        if not await anyio.Path(file).is_file():
            return HTMLResponse(_NOT_BUILT, 503, headers)
        return FileResponse(file, headers=headers, media_type="text/html")

    async def _file(self, request: Request, path: str) -> Response:
        file = await self._inside(path)
        if file is None:
            return _nothing(request)
        # the names of assets hold a hash of their content
        cached = _IMMUTABLE if path.startswith("/assets/") else _REVALIDATED
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers = {"cache-control": cached}
        if media_type == "text/html":
            headers["content-security-policy"] = PAGE_POLICY
        return FileResponse(file, headers=headers, media_type=media_type)

    async def _inside(self, path: str) -> Path | None:
        """The file of a path, unless it is missing or, by `..` or a link, outside of the directory."""
        if "\0" in path:
            return None
        try:
            found = Path(await anyio.Path(self._directory / path.lstrip("/")).resolve())
            ours = found.is_relative_to(self._directory) and await anyio.Path(found).is_file()
        except OSError:
            # a name that no file system takes
            return None
        return found if ours else None


def _nothing(request: Request) -> Response:
    return error_response(404, "NOT_FOUND", "There is nothing at this address.", request.state.request_id)
