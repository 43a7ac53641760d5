"""Every setting, top to bottom; environments differ by variables only (see docs/configuration.md)."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import validate

from saga_project import __version__
from saga_project import env as configuration
from saga_project.local import embedded
from saga_project.shared import content_policy, cors, logs, redis_urls, sign_in
from saga_project.shared.admin import look

PACKAGE_DIR = Path(__file__).resolve().parent
BASE_DIR = PACKAGE_DIR.parent
# A distribution has templates and static files inside of the package.
IS_INSTALLED = (PACKAGE_DIR / "static").is_dir()
FILES_DIR = PACKAGE_DIR if IS_INSTALLED else BASE_DIR
env = configuration.load()

# --- Address and access ---------------------------------------------------------------------------

HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8030, validate=validate.Range(1, 65535))
SERVICE_NAME = env.str("SERVICE_NAME", "saga")
SAGA_VERSION = __version__

IS_LOOPBACK = configuration.is_loopback(HOST or "")
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
SAGA_AUTH = env.str(
    "SAGA_AUTH",
    "open" if IS_LOOPBACK else "required",
    validate=validate.OneOf(["open", "local-token", "required"]),
)
ALLOWED_HOSTS = env.list("SAGA_ALLOWED_HOSTS", LOOPBACK_HOSTS if IS_LOOPBACK else ["*"])
# Proxies with trusted X-Forwarded-For and X-Forwarded-Proto headers: addresses and networks.
SAGA_TRUSTED_PROXIES: list[str] = env.list(
    "SAGA_TRUSTED_PROXIES", [], validate=configuration.check_networks
)
# The address under which people open Saga, such as https://saga.example.com.
SAGA_PUBLIC_URL = (
    env.str("SAGA_PUBLIC_URL", "", validate=configuration.check_origin) or ""
).rstrip("/")
# Where the audit trail is sent on: syslog://host:514, syslog+tcp://host:601, or the URL of a webhook.
SAGA_AUDIT_FORWARD = env.str("SAGA_AUDIT_FORWARD", "", validate=configuration.check_audit_receiver)
SAGA_AUDIT_FORWARD_SECRET = env.str("SAGA_AUDIT_FORWARD_SECRET", "") or ""
# Web sites with pages that may call the API from a browser.
SAGA_CORS_ORIGINS: list[str] = env.list(
    "SAGA_CORS_ORIGINS", [], validate=configuration.check_foreign_origins
)
DEBUG = env.bool("SAGA_DEBUG", False)
# Where a worker that shares no host with a web process answers Prometheus; 0: nowhere.
SAGA_WORKER_METRICS_PORT = env.int("SAGA_WORKER_METRICS_PORT", 0, validate=validate.Range(0, 65535))
SAGA_HEALTH_EVENTS = env.bool("SAGA_HEALTH_EVENTS", True)
SAGA_LOG_FORMAT = env.str(
    "SAGA_LOG_FORMAT", "console", validate=validate.OneOf(["console", "json"])
)
SAGA_LOG_LEVEL = env.str(
    "SAGA_LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
)
SAGA_WEB_PROCESSES = env.int("SAGA_WEB_PROCESSES", 2, validate=validate.Range(1, 64))
# How long a process that is asked to stop may finish or hand over its work.
SAGA_SHUTDOWN_SECONDS = env.int("SAGA_SHUTDOWN_SECONDS", 15, validate=validate.Range(1, 600))
SAGA_FAST_PATH = env.bool("SAGA_FAST_PATH", True)
# Connections of one web process.
SAGA_MAX_CONNECTIONS = env.int("SAGA_MAX_CONNECTIONS", 10_000, validate=validate.Range(1))
SAGA_SOURCE_MAX_BYTES = env.int(
    "SAGA_SOURCE_MAX_BYTES", 128 * 2**20, validate=validate.Range(2**20)
)
# Of a source's list that goes on, so many pages are read, in so many seconds.
SAGA_SOURCE_MAX_PAGES = env.int("SAGA_SOURCE_MAX_PAGES", 200, validate=validate.Range(1, 10_000))
SAGA_SOURCE_MAX_SECONDS = env.int("SAGA_SOURCE_MAX_SECONDS", 60, validate=validate.Range(1, 600))
SAGA_MAX_STREAMS = env.int("SAGA_MAX_STREAMS", 100, validate=validate.Range(0))

# --- Data and secrets -----------------------------------------------------------------------------

SAGA_DATA_DIR = configuration.data_folder(
    env.str("SAGA_DATA_DIR", None), None if IS_INSTALLED else BASE_DIR
)
DATABASE_URL = env.str("DATABASE_URL", None) or embedded.database_url(SAGA_DATA_DIR)
# Connections of one web process; asgi.py sets a default. Celery would close a pool at every task boundary.
SAGA_DATABASE_POOL = env.int("SAGA_DATABASE_POOL", 0, validate=validate.Range(0, 1000))
REDIS_URL = env.str("REDIS_URL", None) or embedded.redis_url(SAGA_DATA_DIR)
SAGA_LOCAL_TOKEN = (
    embedded.secret(SAGA_DATA_DIR, "local_token") if SAGA_AUTH == "local-token" else ""
)
SENTINELS = embedded.sentinels_of(REDIS_URL)
SECRET_KEY = env.str("SAGA_SECRET_KEY", None) or embedded.secret(SAGA_DATA_DIR, "secret_key")
SAGA_ENCRYPTION_KEYS = env.list("SAGA_ENCRYPTION_KEYS", None) or embedded.encryption_keys(
    SAGA_DATA_DIR
)

SAGA_LOCAL_LOGIN = env.bool("SAGA_LOCAL_LOGIN", True)
SAGA_OIDC_CLIENT_ID = env.str("SAGA_OIDC_CLIENT_ID", None)
SAGA_OIDC_CLIENT_SECRET = sign_in.client_secret(
    SAGA_DATA_DIR, env.str("SAGA_OIDC_CLIENT_SECRET", None)
)
SAGA_OIDC_NAME = env.str("SAGA_OIDC_NAME", "single sign-on")
SAGA_OIDC_SCOPES: list[str] = env.list("SAGA_OIDC_SCOPES", ["openid", "profile", "email"])
SAGA_OIDC_GROUPS_CLAIM = env.str("SAGA_OIDC_GROUPS_CLAIM", "groups")
SAGA_OIDC_GROUPS: Any = env.json("SAGA_OIDC_GROUPS", {}, validate=sign_in.check_groups)
SAGA_REQUIRE_SECOND_FACTOR: list[str] = env.list(
    "SAGA_REQUIRE_SECOND_FACTOR", [], validate=sign_in.check_roles
)
SAGA_SESSION_IDLE_MINUTES = env.int("SAGA_SESSION_IDLE_MINUTES", 0, validate=validate.Range(0, 720))

# --- Registry -------------------------------------------------------------------------------------

HEARTBEAT_INTERVAL = env.int("HEARTBEAT_INTERVAL", 30, validate=validate.Range(5, 3600))
REGISTRATION_TTL = env.int("REGISTRATION_TTL", 60, validate=validate.Range(5, 3600))
REGISTRY_HEARTBEAT_MONITOR_INTERVAL = env.int(
    "REGISTRY_HEARTBEAT_MONITOR_INTERVAL", 60, validate=validate.Range(1)
)
REGISTRY_HEARTBEAT_GRACE_MULTIPLIER = env.int(
    "REGISTRY_HEARTBEAT_GRACE_MULTIPLIER", 3, validate=validate.Range(1)
)
REGISTRY_HEARTBEAT_DEGRADED_THRESHOLD = env.int(
    "REGISTRY_HEARTBEAT_DEGRADED_THRESHOLD", 3, validate=validate.Range(1)
)
REGISTRY_HEARTBEAT_UNREACHABLE_THRESHOLD = env.int(
    "REGISTRY_HEARTBEAT_UNREACHABLE_THRESHOLD", 10, validate=validate.Range(1)
)
SAGA_AUTO_APPROVE = env.bool("SAGA_AUTO_APPROVE", SAGA_AUTH != "required")
# Of how many instances at once the registry believes that they are gone (protection against mass expiry).
SAGA_PROTECTION_PERCENT = env.int("SAGA_PROTECTION_PERCENT", 15, validate=validate.Range(0, 100))
SAGA_PROTECTION_MINIMUM = env.int("SAGA_PROTECTION_MINIMUM", 10, validate=validate.Range(0))
# Services with a rule of their own, by glob: {"batch-*": {"percent": 100}, "edge": {"minimum": 3}}
SAGA_PROTECTION_SERVICES: dict[str, dict[str, float]] = dict(
    env.json("SAGA_PROTECTION_SERVICES", {}) or {}
)
SAGA_INTERNAL_SERVICES: list[str] = env.list("SAGA_INTERNAL_SERVICES", [])
SAGA_STALE_READS = env.int("SAGA_STALE_READS", 0, validate=validate.Range(0))
SAGA_EVENT_RETENTION_DAYS = env.int("SAGA_EVENT_RETENTION_DAYS", 30, validate=validate.Range(1))
SAGA_OIDC_ISSUER = env.str("SAGA_OIDC_ISSUER", None)
SAGA_OIDC_AUDIENCE = env.str("SAGA_OIDC_AUDIENCE", None)
SAGA_RATE_LIMIT = env.int("SAGA_RATE_LIMIT", 1000, validate=validate.Range(1))

# --- Updates and webhooks -------------------------------------------------------------------------

SAGA_ARTIFACTS_DIR = Path(env.str("SAGA_ARTIFACTS_DIR", str(SAGA_DATA_DIR / "artifacts")))
SAGA_BACKUPS_DIR = Path(env.str("SAGA_BACKUPS_DIR", str(SAGA_DATA_DIR / "backups")))
SAGA_INSTALL_ROOT = Path(env.str("SAGA_INSTALL_ROOT", str(SAGA_DATA_DIR / "services")))
SAGA_NODE_NAME = env.str("SAGA_NODE_NAME", "local")
SAGA_RETRY_DELAY_SECONDS = env.int("SAGA_RETRY_DELAY_SECONDS", 1, validate=validate.Range(0, 300))
# How long a deployment keeps watch over its instances before it ends; a strategy's bake_seconds wins.
SAGA_BAKE_SECONDS = env.int("SAGA_BAKE_SECONDS", 10, validate=validate.Range(0, 3600))
# Commands that targets may name to restart a service: {"shop": ["/usr/bin/supervisorctl", "restart", "shop"]}
SAGA_RESTART_COMMANDS: dict[str, list[str]] = dict(env.json("SAGA_RESTART_COMMANDS", {}) or {})
# What an artifact may unpack to; the ratio counts beyond 100 MiB.
SAGA_ARCHIVE_MAX_ENTRIES = env.int("SAGA_ARCHIVE_MAX_ENTRIES", 200_000, validate=validate.Range(1))
SAGA_ARCHIVE_MAX_BYTES = env.int("SAGA_ARCHIVE_MAX_BYTES", 10 * 2**30, validate=validate.Range(1))
SAGA_ARCHIVE_MAX_RATIO = env.int("SAGA_ARCHIVE_MAX_RATIO", 200, validate=validate.Range(1))
# The size of one uploaded artifact, and of all; their bytes are rows of PostgreSQL.
SAGA_UPLOAD_MAX_BYTES = env.int("SAGA_UPLOAD_MAX_BYTES", 2**30, validate=validate.Range(1))
SAGA_UPLOADS_TOTAL_BYTES = env.int(
    "SAGA_UPLOADS_TOTAL_BYTES", 20 * 2**30, validate=validate.Range(1)
)
# The mail server of e-mail channels; without one they are refused.
EMAIL_HOST = env.str("SAGA_EMAIL_HOST", "")
EMAIL_PORT = env.int("SAGA_EMAIL_PORT", 587, validate=validate.Range(1, 65535))
EMAIL_HOST_USER = env.str("SAGA_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env.str("SAGA_EMAIL_PASSWORD", "")
SAGA_EMAIL_TLS = env.str(
    "SAGA_EMAIL_TLS", "starttls", validate=validate.OneOf(["starttls", "tls", "off"])
)
EMAIL_USE_TLS, EMAIL_USE_SSL = SAGA_EMAIL_TLS == "starttls", SAGA_EMAIL_TLS == "tls"
DEFAULT_FROM_EMAIL = env.str("SAGA_EMAIL_FROM", "saga@localhost")
SAGA_ALLOWED_NETWORKS = env.list(
    "SAGA_ALLOWED_NETWORKS", configuration.PRIVATE_NETWORKS if IS_LOOPBACK else []
)
SAGA_HTTP_PROXY = env.str("SAGA_HTTP_PROXY", "", validate=configuration.check_proxy) or ""
SAGA_NO_PROXY: list[str] = env.list(
    "SAGA_NO_PROXY", SAGA_ALLOWED_NETWORKS, validate=configuration.check_proxy_exceptions
)

configuration.seal(env)
sign_in.demand_a_way(
    SAGA_OIDC_ISSUER, SAGA_OIDC_CLIENT_ID, SAGA_OIDC_GROUPS, is_local=SAGA_LOCAL_LOGIN
)

IS_PUBLIC_OVER_TLS = SAGA_PUBLIC_URL.startswith("https://")
if SAGA_PUBLIC_URL and "*" not in ALLOWED_HOSTS:
    _public_host = urlsplit(SAGA_PUBLIC_URL).hostname or ""
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, f"[{_public_host}]" if ":" in _public_host else _public_host]

# --- Django ---------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "saga_project.console.apps.AdminSiteConfig",  # django.contrib.admin, with a site of ours
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "axes",
    *("allauth", "allauth.account", "allauth.socialaccount", "allauth.mfa"),
    "corsheaders",
    "saga_project",
    "saga_project.console",
    "saga_project.local",
    "registry",
    "updates",
    "webhooks",
]
MIDDLEWARE = [
    "saga_project.shared.api.RequestIdMiddleware",
    "saga_project.shared.metrics.RequestMetricsMiddleware",
    "saga_project.console.login.SecureCookiesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "saga_project.web.compression.StaticFilesMiddleware",
    "saga_project.web.compression.CompressionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    *sign_in.MIDDLEWARE,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "axes.middleware.AxesMiddleware",
    "registry.api.idempotency.IdempotencyMiddleware",
]
if SAGA_CORS_ORIGINS:  # before what answers by itself, so that each answer carries the headers
    MIDDLEWARE.insert(1, "corsheaders.middleware.CorsMiddleware")
ROOT_URLCONF = "saga_project.urls"
APPEND_SLASH = False
WSGI_APPLICATION = "saga_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [FILES_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "saga_project.console.sign_in.pages.of_console",
            ],
        },
    },
]
TIME_ZONE, STATIC_URL = "UTC", "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# `prepare` collects them under names with their digest; where it did not run, they come from the packages.
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "saga_project.shared.static_files.HashedStaticFiles"},
}
STATICFILES_DIRS = [FILES_DIR / "static"]
FORMAT_MODULE_PATH = "saga_project.console.formats"

DATABASES = {"default": embedded.parse_database_url(DATABASE_URL, pool_size=SAGA_DATABASE_POOL)}
if SENTINELS:
    DJANGO_REDIS_CONNECTION_FACTORY = "django_redis.pool.SentinelConnectionFactory"
CACHES = {"default": redis_urls.cache(REDIS_URL, SENTINELS)}

# --- The console -----------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {"DIRECTIVES": content_policy.DIRECTIVES}
SESSION_COOKIE_NAME = "saga_session"
CSRF_TRUSTED_ORIGINS = [SAGA_PUBLIC_URL] if SAGA_PUBLIC_URL else []
# Over plain HTTP the cookies get Secure where a trusted proxy says that its client uses HTTPS.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PUBLIC_OVER_TLS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if IS_PUBLIC_OVER_TLS else 0
globals().update(sign_in.SETTINGS)
CORS_ALLOW_ALL_ORIGINS, CORS_URLS_REGEX = "*" in SAGA_CORS_ORIGINS, r"^/(api/|livez$|readyz$)"
CORS_ALLOWED_ORIGINS = [origin.rstrip("/") for origin in SAGA_CORS_ORIGINS if origin != "*"]
CORS_ALLOW_HEADERS, CORS_EXPOSE_HEADERS = cors.ALLOWED_HEADERS, cors.EXPOSED_HEADERS
UNFOLD = look.UNFOLD

# --- The API --------------------------------------------------------------------------------------

# Parsers, renderers and throttles stand on api.SagaView: DRF imports the names below before its views exist.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["registry.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["registry.api.authentication.ScopePermission"],
    "EXCEPTION_HANDLER": "saga_project.shared.api.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "saga_project.web.openapi.SagaSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Saga",
    "DESCRIPTION": "One control plane for service registry, updates, deployments and webhooks.",
    "VERSION": SAGA_VERSION,
    "POSTPROCESSING_HOOKS": ["saga_project.web.openapi.complete"],
    "COMPONENT_SPLIT_REQUEST": True,
    "OAS_VERSION": "3.1.0",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

# --- To be seen -----------------------------------------------------------------------------------

LOGGING = logs.configuration(form=SAGA_LOG_FORMAT, level=SAGA_LOG_LEVEL)
DJANGO_STRUCTLOG_CELERY_DEFAULT_LOG_LEVEL = (
    logging.DEBUG
)  # a sweep a second would be two lines a second
# prometheus_client reads this when it is imported: counters are kept in files that processes share.
# By host, since containers that share the data folder may have the same process ids.
RUN_DIR = SAGA_DATA_DIR / "run" / socket.gethostname()
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(RUN_DIR / "metrics"))
Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)

# --- Celery (celery.py has what no environment varies) --------------------------------------------

CELERY_BROKER_URL = embedded.broker_url(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = redis_urls.broker_options(SENTINELS)
