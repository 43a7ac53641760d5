"""Every address that Saga answers to; the edge has taken trailing slashes off API paths."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from saga_project.web import documentation, health, openapi, root, scrape
from saga_project.web.declared import views as declared

API: list[URLPattern | URLResolver] = [
    path("schema", openapi.SchemaView.as_view()),
    path("docs", openapi.DocsView.as_view()),
    path("health", health.HealthView.as_view()),
    path("apply", declared.ApplyView.as_view()),
    path("apply/schema", declared.DocumentSchemaView.as_view()),
    path("export", declared.ExportDocumentView.as_view()),
    path("", include("registry.api.urls")),
    path("", include("updates.api.urls")),
    path("", include("webhooks.api.urls")),
]

urlpatterns = [
    path("", root.RootView.as_view()),
    path("metrics", scrape.MetricsView.as_view()),
    path("livez", health.LivenessView.as_view()),
    path("readyz", health.ReadinessView.as_view()),
    path("api/v1/", include(API)),
    path("admin/", include("saga_project.console.sign_in.urls")),
    path("admin/", admin.site.urls),
    path("docs", RedirectView.as_view(url="/docs/")),
    path("docs/", documentation.page),
    path("docs/<path:path>", documentation.page),
]

handler400 = "saga_project.console.failures.bad_request"
handler403 = "saga_project.console.failures.permission_denied"
handler404 = "saga_project.console.failures.not_found"
handler500 = "saga_project.console.failures.server_error"
