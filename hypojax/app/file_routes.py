"""Files that are handed out: results of a visitor to that visitor, pages of the cohorts, and scripts of the page; nothing by its path."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from hypojax.app.cohort_files import CohortFiles
from hypojax.app.upload_route import take_upload
from hypojax.reporting.rating_server import TYPES

if TYPE_CHECKING:
    from hypojax.app.page_layout import AppContext

STATIC: Final = (Path(__file__).parent / "static", Path(__file__).parents[1] / "reporting" / "static")
"""Folders of scripts and styles; a name in the first hides the same name in the second."""

ARCHIVES: Final = {".gz": "application/gzip", ".zip": "application/zip", ".tsv": "text/tab-separated-values; charset=utf-8"}
"""What is saved and not shown."""


def own_routes(context: "AppContext") -> list[Route]:
    """All addresses that are not Gradio's.

    Parameters
    ----------
    context
        Sessions, scans and cohorts.
    """
    scripts, cohort_files = static_files(), CohortFiles(context.cohorts, norms=context.settings.norms)

    async def upload(request: Request) -> Response:
        return await take_upload(request, context.sessions, context.limits)

    def mine(request: Request) -> Response:
        job, name = request.path_params["job"], request.path_params["name"]
        return given(context.service.file(context.sessions.of(request), job, name))

    def cohort_file(request: Request) -> Response:
        own, (name, path) = context.sessions.of(request).cohort, (request.path_params[key] for key in ("cohort", "path"))
        found = cohort_files.find(name, path, dict(request.query_params), own=own)
        if found is None:
            return given(None)
        kept = {"Content-Disposition": f'attachment; filename="{found.name}"'} if found.name else {}
        return Response(found.content, media_type=found.kind, headers=kept)

    def static(request: Request) -> Response:
        return script(scripts.get(request.path_params["name"]), request.headers.get("if-none-match", ""))

    return [
        Route("/gradio_api/upload", upload, methods=["POST"]),
        Route("/mine/{job}/{name}", mine),
        Route("/cohort-files/{cohort}/{path:path}", cohort_file),
        Route("/static/{name}", static),
    ]


def static_files() -> Mapping[str, Path]:
    """Name → file of every script, style and picture of the page."""
    files = (path for folder in reversed(STATIC) for path in sorted(folder.iterdir()))
    return {path.name: path for path in files if path.suffix in TYPES}


def given(path: Path | None) -> Response:
    """A file: shown where a page has it, saved otherwise; 404 where there is none."""
    if path is None or not path.is_file():
        return PlainTextResponse("There is no such file, or it is not yours.", HTTPStatus.NOT_FOUND)
    suffix = path.suffix.lower()
    if suffix in TYPES:
        return FileResponse(path, media_type=TYPES[suffix])
    return FileResponse(path, media_type=ARCHIVES.get(suffix, "application/octet-stream"), filename=path.name)


def script(path: Path | None, known: str) -> Response:
    """A script that the browser keeps, and asks for again by the mark that it knows."""
    if path is None:
        return given(None)
    found = path.stat()
    mark = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    headers = {"ETag": mark, "Cache-Control": "private, max-age=3600"}
    if mark in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return FileResponse(path, media_type=TYPES[path.suffix], headers=headers)
