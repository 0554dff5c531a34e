# docker build -t paddock .                            for any x86-64 processor since 2013 or any ARM64
# docker build -t paddock --build-arg BACKEND=cuda .   for NVIDIA GPUs; run it with --gpus all
ARG BACKEND=cpu
ARG CUDA=12.9.1

FROM ubuntu:24.04 AS build-cpu
# No -march=native: the image must run on other processors than the one that built it.
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF"

FROM nvidia/cuda:${CUDA}-devel-ubuntu24.04 AS build-cuda
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_CUDA=ON"

# hadolint ignore=DL3006
FROM build-${BACKEND} AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        build-essential python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/paddock
# The engine first: it takes minutes to compile and changes seldom.
COPY requirements requirements
COPY scripts scripts
COPY Makefile ./
RUN make .venv/.stamps/run
COPY LICENSE README.md pyproject.toml ./
COPY model_store model_store
COPY runners runners
COPY server server
RUN make install \
    && .venv/bin/python -m compileall -q model_store runners server \
    && .venv/bin/python -m pip uninstall --quiet --yes -r requirements/build.txt pip \
    && rm -rf Makefile scripts requirements .venv/lib/python3*/site-packages/lib \
        .venv/lib/python3*/site-packages/include

FROM ubuntu:24.04 AS runtime-cpu
FROM nvidia/cuda:${CUDA}-runtime-ubuntu24.04 AS runtime-cuda

# hadolint ignore=DL3006
FROM runtime-${BACKEND}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        libgomp1 libstdc++6 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 paddock \
    && install --directory --owner=paddock --group=paddock /models
COPY --from=build /opt/paddock /opt/paddock
ENV OLLAMA_HOST=0.0.0.0:11434 \
    OLLAMA_MODELS=/models \
    PADDOCK_API_KEYS=/models/paddock-api-keys.json \
    PADDOCK_AUDIT_LOG=/models/paddock-audit.log \
    PADDOCK_PREFIXES=/models/prefixes \
    PADDOCK_RESPONSES=/models/paddock-responses.db \
    PADDOCK_USAGE=/models/paddock-usage.db \
    PATH=/opt/paddock/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
USER paddock
VOLUME /models
EXPOSE 11434
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:11434/', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["paddock", "serve"]
