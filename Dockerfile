# One image for web, worker and beat: they differ only by command (see compose.yaml).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY requirements.txt ./
# pip has done its work afterwards, and an image that runs needs no installer.
RUN python3 -m venv /opt/venv \
    && pip install --quiet --require-hashes --only-binary :all: --requirement requirements.txt \
    && pip uninstall --quiet --yes setuptools pip
COPY . ./
# Collecting the admin's and the API page's files needs settings, but none of these values.
RUN DATABASE_URL=postgres://database.invalid/outbound \
    REDIS_URL=redis://redis.invalid/0 \
    SECRET_KEY=only-for-collecting-static-files \
    OUTBOUND_ENCRYPTION_KEYS=b25seS1mb3ItY29sbGVjdGluZy1zdGF0aWMtZmlsZXM= \
    python3 manage.py collectstatic --noinput --verbosity 0 \
    && python3 -m compileall -q .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Outbound" \
      org.opencontainers.image.licenses="MIT"
# Sixteen threads for each web process, as many as its pool has database connections.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GRANIAN_INTERFACE=wsgi \
    GRANIAN_HOST=0.0.0.0 \
    GRANIAN_PORT=8000 \
    GRANIAN_WORKERS=2 \
    GRANIAN_BLOCKING_THREADS=16 \
    GRANIAN_WEBSOCKETS=false \
    GRANIAN_RESPAWN_FAILED_WORKERS=true \
    GRANIAN_WORKERS_KILL_TIMEOUT=30
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000
# Only the web command listens; compose.yaml turns this off for the others. A refusal of this
# host name (400) also comes from a process that is alive.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import http.client; web = http.client.HTTPConnection('127.0.0.1', 8000, timeout=4); web.request('GET', '/healthz'); raise SystemExit(web.getresponse().status >= 500)"]
CMD ["granian", "config.wsgi:application"]
