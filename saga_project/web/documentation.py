"""The documentation site at ``/docs/``: what ``make docs`` built, or ``make dist`` for the wheel.

Its pages keep the content policy of all others; the build moves their scripts and styles into files.
"""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.views import static
from django.views.decorators.http import require_safe

FOLDER = settings.PACKAGE_DIR / "documentation"


@require_safe
def page(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """Answer with a file of the site; where there is no site, with how to get it."""
    if not (FOLDER / "index.html").is_file():
        return _absent(request)
    name = f"{path}index.html" if not path or path.endswith("/") else path
    try:
        answer = static.serve(request, name, document_root=str(FOLDER))
    except OSError:  # a name that is too long for the file system
        raise Http404 from None
    # A new release has new pages under the same names.
    patch_cache_control(answer, no_cache=True)
    return answer


def _absent(request: HttpRequest) -> HttpResponse:
    return render(request, "documentation_absent.html", status=404)
