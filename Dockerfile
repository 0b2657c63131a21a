# One image for every part: scheduler, workers, API server, MLflow, and `evermix` itself.
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE} AS build
WORKDIR /opt/evermix
RUN python -m venv .venv
COPY requirements.lock ./
RUN --mount=type=cache,target=/var/cache/pip PIP_CACHE_DIR=/var/cache/pip \
    .venv/bin/pip install --no-deps --require-hashes --compile -r requirements.lock
COPY pyproject.toml README.md ./
COPY src src
RUN .venv/bin/pip install --no-deps --no-build-isolation --editable .

FROM ${BASE_IMAGE}
# git holds the history; gcc lets numba and PyTensor compile what has no cached form; procps names a stage's parent.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git g++ procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 50000 evermix \
    && install -d -o evermix /var/lib/evermix
WORKDIR /opt/evermix
COPY --from=build /opt/evermix /opt/evermix
COPY dvc.yaml params.yaml ./
COPY scripts scripts
COPY dags dags
ENV PATH=/opt/evermix/.venv/bin:$PATH \
    EVERMIX_PROJECT=/opt/evermix \
    EVERMIX_HOME=/var/lib/evermix \
    AIRFLOW_HOME=/var/lib/evermix/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/evermix/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    MLFLOW_DISABLE_TELEMETRY=true \
    PYTHONUNBUFFERED=1
USER 50000
ENTRYPOINT ["evermix"]
CMD ["--help"]
