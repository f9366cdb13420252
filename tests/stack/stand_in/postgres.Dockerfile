# Stands in for the image `postgres` where no registry of images can be reached: Debian's server, the same settings.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 999 postgres \
 && useradd --system --uid 999 --gid 999 --home-dir /var/lib/postgresql --shell /bin/sh postgres \
 && apt-get update \
 && apt-get install -y --no-install-recommends postgresql-15 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/lib/postgresql/15 /etc/postgresql \
 && install -d -m 1777 -o 999 -g 999 /var/lib/postgresql/data /docker-entrypoint-initdb.d
COPY --chmod=755 postgres_entry.sh /usr/local/bin/postgres-entry
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-entry"]
