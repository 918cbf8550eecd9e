# The service with a pipeline of yours:
#
#     docker build --build-arg MODEL=training/model-best -t relations .
#     docker run --rm -p 8000:8000 relations
#
# MODEL is a folder below this one. By default torch brings CUDA, several GB of it; PIP_OPTIONS can name an index that has
# torch for processors alone: --build-arg PIP_OPTIONS="--extra-index-url ...".
FROM python:3.12-slim

RUN useradd --create-home service
WORKDIR /home/service
COPY pyproject.toml setup.py README.md LICENSE ./source/
COPY spacy_spert ./source/spacy_spert
ARG PIP_OPTIONS=
RUN pip install --no-cache-dir ${PIP_OPTIONS} "./source[serve]" && rm -r source

ARG MODEL=training/model-best
COPY ${MODEL} ./model

USER service
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health')"]
# The form with brackets, so that SIGTERM reaches the service.
ENTRYPOINT ["spacy", "spert", "serve", "model", "--host", "0.0.0.0"]
