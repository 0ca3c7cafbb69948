# sreops in one container: one process, not root, data in /data.
#
#   docker build -t sreops .
#   docker run --rm -p 127.0.0.1:8080:8080 -v sreops:/data \
#     -e SREOPS_WEBHOOK__TOKEN=… -e SREOPS_API_TOKEN=… sreops
#
# docs/deploy.md has the rest.

FROM python:3.13.13-slim-trixie AS build
# Extras of pyproject.toml, separated by blanks, such as "postgres mcp"; none is needed for what compose.yaml runs.
ARG SREOPS_EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all:
WORKDIR /src
# What is installed, in the versions that the tests ran with: these layers are kept until a version changes. pip takes no
# file whose hash is not listed (deploy/freeze).
COPY deploy/requirements deploy/requirements
RUN pip install --require-hashes --requirement deploy/requirements/build.txt
RUN python -m venv /opt/sreops \
    && for extra in base ${SREOPS_EXTRAS}; do set -- "$@" --requirement "deploy/requirements/$extra.txt"; done \
    && /opt/sreops/bin/pip install --require-hashes "$@"
# The source last: a change of it installs nothing but itself, built by the backend that is there.
COPY pyproject.toml README.md LICENSE runbooks.yaml ./
COPY src ./src
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
    && /opt/sreops/bin/pip install --no-deps --no-index /dist/sreops-*.whl \
    && /opt/sreops/bin/pip check \
    && /opt/sreops/bin/pip uninstall --yes pip \
    # the bill of materials (CycloneDX) of what is in the image: docker run --rm --entrypoint cat sreops /opt/sreops/sbom.cdx.json
    && cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file /opt/sreops/sbom.cdx.json \
        /opt/sreops \
    && cd / && /opt/sreops/bin/python -m sreops runbooks lint # the packaged ones, from where the source is not

FROM python:3.13.13-slim-trixie
RUN groupadd --gid 10001 sreops \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin sreops \
    && install --directory --owner=10001 --group=10001 --mode=0750 /data
COPY --from=build /opt/sreops /opt/sreops
COPY runbooks.yaml /etc/sreops/runbooks.yaml
ENV PATH=/opt/sreops/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SREOPS_HOST=0.0.0.0 \
    SREOPS_PORT=8080 \
    SREOPS_DATA_DIR=/data \
    SREOPS_RUNBOOKS=/etc/sreops/runbooks.yaml
# Beyond loopback sreops refuses to start without credentials: SREOPS_WEBHOOK__TOKEN and SREOPS_API_TOKEN.
# /etc/sreops/runbooks.yaml is yours to mount over.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# /livez, not /readyz: a broker that is away is no reason to restart this.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['SREOPS_PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["python", "-m", "sreops"]
