# The tag is a minor release of Python, which gets fixes when it is pulled. Pin a digest where builds must repeat.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=saga_project.settings
RUN useradd --uid 10001 --create-home saga && install --directory --owner=saga /data
WORKDIR /app

COPY requirements.lock .
COPY requirements-build.lock .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock --requirement requirements-build.lock

COPY manage.py .
COPY saga_project saga_project
COPY registry registry
COPY updates updates
COPY webhooks webhooks
COPY templates templates
COPY static static

# The command `saga`, with the server's own commands.
COPY pyproject.toml .
COPY README.md .
COPY LICENSE .
COPY clients/python clients/python
RUN pip install --no-cache-dir --no-index --no-deps --no-build-isolation --editable clients/python --editable .

USER saga
VOLUME /data
EXPOSE 8030
CMD ["python", "-m", "uvicorn", "saga_project.asgi:application", "--host=0.0.0.0", "--port=8030", \
     "--workers=2", "--loop=uvloop", "--http=saga_project.web.fast_path:FastPathProtocol", "--log-level=warning", \
     "--no-access-log", "--no-server-header", "--no-proxy-headers", "--timeout-keep-alive=75", "--timeout-graceful-shutdown=5"]
