"""The OpenAPI document: every route with every status it answers, in both dialects, and a page to read it.

Views describe their own parameters, bodies and answers, fields their own rules; what all routes share
(errors, scopes, the name in a path) is added here, once.
"""

from saga_project.web.openapi.auto_schema import SagaSchema
from saga_project.web.openapi.completion import complete
from saga_project.web.openapi.views import DocsView, SchemaView, document

__all__ = ["DocsView", "SagaSchema", "SchemaView", "complete", "document"]
