# docker build -t kfold-hs .                                     for the CPU
# docker build -t kfold-hs:cuda --build-arg TORCH=cu130 .        for NVIDIA GPUs (docker run --gpus all)
# mkdir -p results
# docker run --rm -v "$PWD/results:/results" kfold-hs            the built-in cohort; the report is in ./results
#
# TORCH is the name of a build of torch on pytorch.org: cpu, cu130, ... (uv knows the place).
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm

ARG TORCH=cpu
ENV PYTHONUNBUFFERED=1 \
    UV_LINK_MODE=copy \
    UV_CACHE_DIR=/var/cache/uv
WORKDIR /opt/kfold-hs

# First what seldom changes, so that a change of the code does not fetch torch again.
COPY constraints.txt ./
RUN --mount=type=cache,target=/var/cache/uv \
    pip install --no-cache-dir --root-user-action=ignore uv==0.13.9 \
    && uv pip install --system --torch-backend "${TORCH}" -c constraints.txt \
       torch torchaudio torchvision

COPY pyproject.toml setup.cfg setup.py README.md LICENSE THIRD_PARTY.md ./
COPY configs configs
COPY kfold_hs kfold_hs
RUN --mount=type=cache,target=/var/cache/uv \
    uv pip install --system --torch-backend "${TORCH}" -c constraints.txt '.[all]'

# Results belong to user 1000, whom a first user on Linux mostly is; else: docker run --user "$(id -u)".
RUN useradd --uid 1000 --create-home kfold \
    && mkdir /results /cache \
    && chown kfold:kfold /results /cache \
    && chmod 1777 /results /cache
ENV KFOLD_HS_CACHE=/cache
USER 1000
WORKDIR /results
VOLUME ["/results"]
ENTRYPOINT ["kfold-hs"]
CMD ["run", "--folds", "5"]
