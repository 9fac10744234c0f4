# Three images from one file:
#   docker build --target service    -t metserve-service:0.1.0 .      receive, api, deliver
#   docker build --target worker-cpu -t metserve-worker-cpu:0.1.0 .   work
#   docker build --target worker-gpu -t metserve-worker-gpu:0.1.0 .   work, with CUDA from pinned wheels
# Dependencies come from requirements/*.lock with hashes; metserve itself from a wheel built here.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY cli cli
COPY core core
COPY evaluation evaluation
COPY models models
COPY phantom phantom
COPY service service
COPY training training
COPY worker worker
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    METSERVE_DATA_DIR=/var/lib/metserve \
    METSERVE_LOG_FORMAT=json
# A named volume takes the owner of the folder it is mounted over.
RUN groupadd --gid 10001 metserve \
    && useradd --uid 10001 --gid metserve --no-create-home --shell /usr/sbin/nologin metserve \
    && install -d -o metserve -g metserve -m 0700 /var/lib/metserve
WORKDIR /opt/metserve
ENTRYPOINT ["metserve"]

FROM base AS service
COPY requirements/service.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock && rm /tmp/requirements.lock
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl
USER metserve
# For the api role; the other roles of this image replace it or switch it off.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/live', timeout=4)"]
EXPOSE 8080 11112
CMD ["api"]

FROM base AS worker-cpu
COPY requirements/worker-cpu.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock && rm /tmp/requirements.lock
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl
USER metserve
CMD ["work"]

# CUDA and cuDNN are wheels of the lock file: the host gives the driver and the NVIDIA container toolkit.
FROM base AS worker-gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY requirements/worker-gpu.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock && rm /tmp/requirements.lock
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl
USER metserve
CMD ["work"]
