# The server's image with Ray, for deploy/kubernetes/cluster.yaml:
# docker build -t paddock-cluster - < deploy/kubernetes/cluster.Dockerfile
FROM paddock:latest
USER root
# KubeRay's probes call wget.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-pip wget \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m pip --python /opt/paddock/.venv/bin/python install --no-cache-dir "ray>=2.50"
USER paddock
