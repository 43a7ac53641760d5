# Two stages: the first builds the wheels and installs them, the second has neither pip's cache nor build tools.
# The tag is a minor release of Python, which gets fixes when it is pulled. Pin a digest where builds must repeat.
FROM python:3.13-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/saga && python -m venv /opt/tools

COPY requirements.lock .
COPY requirements-build.lock .
RUN /opt/saga/bin/pip install --require-hashes --requirement requirements.lock \
    && /opt/tools/bin/pip install --require-hashes --requirement requirements-build.lock

COPY pyproject.toml .
COPY README.md .
COPY LICENSE .
COPY clients/python clients/python
COPY saga_project saga_project
COPY registry registry
COPY updates updates
COPY webhooks webhooks
COPY templates templates
COPY static static
RUN /opt/tools/bin/python -m hatchling build --target wheel --directory /wheels
WORKDIR /build/clients/python
RUN /opt/tools/bin/python -m hatchling build --target wheel --directory /wheels \
    && /opt/saga/bin/pip install --no-index --no-deps /wheels/*.whl

FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=saga_project.settings \
    PATH=/opt/saga/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SAGA_DATA_DIR=/data
RUN useradd --uid 10001 --create-home saga && install --directory --owner=saga /data
COPY --from=build /opt/saga /opt/saga
WORKDIR /app
COPY manage.py .

USER 10001
VOLUME /data
EXPOSE 8030
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8030/readyz', timeout=3)"]
CMD ["python", "-m", "uvicorn", "saga_project.asgi:application", "--host=0.0.0.0", "--port=8030", \
     "--workers=2", "--loop=uvloop", "--http=saga_project.asgi:fast_path.FastPathProtocol", "--log-level=warning", \
     "--no-access-log", "--no-server-header", "--no-proxy-headers", "--timeout-keep-alive=75", "--timeout-graceful-shutdown=5"]
