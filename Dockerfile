# The app with its weights. PyTorch without CUDA: docker build -t street-fcn .
# PyTorch with CUDA, for `docker run --gpus all`: docker build -t street-fcn:cuda --build-arg TORCH=cuda .
FROM python:3.11-slim-bookworm

ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 1000 street
WORKDIR /app

COPY requirements.txt ./
COPY requirements/cpu.txt requirements/install.sh requirements/
# the user of the app cannot write bytecode later; a few files are for other versions of Python
RUN sh requirements/install.sh pip "$TORCH" && \
    { python -m compileall -q -j 0 "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" > /dev/null || true; }

# the app writes published weights and the zips that it serves here, and all else in /data
COPY --chown=street . .
RUN install --directory --owner street /data
VOLUME /data
ENV SEG_DATA=/data/sets SEG_RUNS=/data/runs SEG_CACHE=/data/cache SEG_NETWORKS=/data/networks \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 STREAMLIT_SERVER_PORT=8501 STREAMLIT_SERVER_ALLOWED_HOSTS=*

USER street
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD python -c "import urllib.request; urllib.request.urlopen(\
    'http://localhost:${STREAMLIT_SERVER_PORT}${STREAMLIT_SERVER_BASE_URL_PATH:+/$STREAMLIT_SERVER_BASE_URL_PATH}/_stcore/health')"
CMD ["streamlit", "run", "app.py"]
