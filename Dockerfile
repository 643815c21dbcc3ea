FROM python:3.11.14-slim-bookworm
WORKDIR /opt/hallkeeper
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && useradd --system --home /var/lib/hallkeeper --create-home hallkeeper
USER hallkeeper
WORKDIR /var/lib/hallkeeper
ENTRYPOINT ["hallkeeper"]
CMD ["run", "--settings", "/etc/hallkeeper/hallkeeper.yaml"]
