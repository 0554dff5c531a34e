# docker build -t paddock .                            for every x86-64 or every ARM64 processor
# docker build -t paddock --build-arg BACKEND=cuda .   for NVIDIA GPUs; run it with --gpus all
# Several platforms at once: deploy/docker-bake.hcl. Wheels that exist already, such as the engine's
# of a release, are used with --build-context wheels=FOLDER.
ARG BACKEND=cpu
ARG CUDA=12.9.1

FROM scratch AS wheels

# The engine is compiled by the machine that builds, for the platform that will run it: emulating
# the compiler would take an hour.
FROM --platform=$BUILDPLATFORM debian:trixie-slim AS compiler-cpu
FROM nvidia/cuda:${CUDA}-devel-ubuntu24.04 AS compiler-cuda
ENV CMAKE_ARGS="-DGGML_CUDA=ON"

# hadolint ignore=DL3006
FROM compiler-${BACKEND} AS engine
ARG TARGETARCH
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
COPY scripts/engine.cmake scripts/
COPY release/__init__.py release/engine.py release/reproducible.py release/
COPY release/container/make-engine release/container/
RUN --mount=type=bind,from=wheels,target=/wheels release/container/make-engine /wheels /engine

FROM debian:trixie-slim AS base-cpu
FROM nvidia/cuda:${CUDA}-runtime-ubuntu24.04 AS base-cuda

# hadolint ignore=DL3006
FROM base-${BACKEND} AS base
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates libgomp1 libstdc++6 python3 \
    && rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/log/*

FROM base AS environment
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
COPY release/container release/container
COPY --from=engine /engine /engine
RUN --mount=type=bind,from=wheels,target=/wheels \
    release/container/install-requirements /opt/paddock /engine /wheels
COPY LICENSE README.md pyproject.toml ./
COPY model_store model_store
COPY runners runners
COPY server server
RUN release/container/install-project /opt/paddock

FROM base
# Whoever the process runs as may write to the volume: --user takes any number.
RUN useradd --uid 10001 --home-dir /models --no-create-home --shell /usr/sbin/nologin paddock \
    && install --directory --mode=1777 /models
COPY --from=environment /opt/paddock /opt/paddock
ENV HOME=/models \
    OLLAMA_HOST=0.0.0.0:11434 \
    OLLAMA_MODELS=/models \
    PADDOCK_API_KEYS=/models/paddock-api-keys.json \
    PADDOCK_AUDIT_LOG=/models/paddock-audit.log \
    PADDOCK_CLUSTER_FILES=/models/cluster \
    PADDOCK_FILES=/models/paddock-files \
    PADDOCK_PREFIXES=/models/prefixes \
    PADDOCK_RESPONSES=/models/paddock-responses.db \
    PADDOCK_USAGE=/models/paddock-usage.db \
    PATH=/opt/paddock/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
VOLUME /models
EXPOSE 11434
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["paddock", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["paddock"]
CMD ["serve"]
