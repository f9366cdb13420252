# The images of the team stack, each from a lock with hashes: `cpu`, `gpu` and `ray` train and lead studies, `server`
# is MLflow and optuna-dashboard.  The same files in give the same files out; SOURCE_DATE_EPOCH dates them.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG SOURCE_DATE_EPOCH=1704067200
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY --chmod=755 stack/install.sh /usr/local/bin/install-lock

# Apart from the libraries, so that a new searchlab is a layer of two megabytes and not of two gigabytes.
FROM build AS searchlab
COPY stack/requirements.build.lock ./
RUN --mount=type=cache,target=/root/.cache/pip install-lock requirements.build.lock
WORKDIR /source
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY searchlab searchlab
COPY studies studies
COPY search_spaces search_spaces
RUN /opt/venv/bin/python -m hatchling build -t wheel -d /wheel \
 && pip --python /opt/venv/bin/python install --no-compile --no-deps --no-index --target /opt/searchlab /wheel/*.whl \
 && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/searchlab

FROM build AS installed-cpu
COPY stack/requirements.cpu.lock ./
RUN --mount=type=cache,target=/root/.cache/pip install-lock requirements.cpu.lock

FROM build AS installed-gpu
COPY stack/requirements.gpu.lock ./
RUN --mount=type=cache,target=/root/.cache/pip install-lock requirements.gpu.lock

FROM build AS installed-ray
COPY stack/requirements.ray.lock ./
RUN --mount=type=cache,target=/root/.cache/pip install-lock requirements.ray.lock

FROM build AS installed-server
COPY stack/requirements.server.lock ./
RUN --mount=type=cache,target=/root/.cache/pip install-lock requirements.server.lock

# What is kept: no pip, no compiler, no cache; one account without a shell, and the places it may write to.
FROM ${PYTHON_IMAGE} AS kept
ARG SOURCE_DATE_EPOCH=1704067200
RUN groupadd --gid 10001 searchlab \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin searchlab \
 && rm -f /var/log/lastlog /var/log/faillog \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/searchlab /var/lib/searchlab/sealed /var/lib/searchlab-uploads \
      /var/lib/mlflow /var/lib/mlflow/artifacts
COPY --chmod=755 stack/entry.sh /usr/local/bin/entry
COPY --chmod=644 stack/healthy.py stack/accounts.py /opt/
ENV PATH=/opt/venv/bin:/opt/searchlab/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    GIT_PYTHON_REFRESH=quiet MPLCONFIGDIR=/tmp/matplotlib DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/entry"]

FROM kept AS server
COPY --from=installed-server /opt/venv /opt/venv
CMD ["mlflow", "--version"]

FROM kept AS trains
ENV TF_CPP_MIN_LOG_LEVEL=2
CMD ["searchlab", "worker"]

FROM trains AS ray
COPY --chmod=755 stack/ray_node.sh /usr/local/bin/ray-node
COPY --from=installed-ray /opt/venv /opt/venv
COPY --from=searchlab /opt/searchlab /opt/searchlab

FROM trains AS gpu
COPY --from=installed-gpu /opt/venv /opt/venv
COPY --from=searchlab /opt/searchlab /opt/searchlab

FROM trains AS cpu
COPY --from=installed-cpu /opt/venv /opt/venv
COPY --from=searchlab /opt/searchlab /opt/searchlab
