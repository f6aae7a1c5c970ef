# Three small images out of one file: `node` (the daemon and PostgreSQL), `etcd` and `haproxy`. See compose.yaml.

FROM swift:6.3-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        pkg-config libpq-dev libcurl4-openssl-dev libssl-dev libyaml-dev libjansson-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
# The Swift runtime is linked in: the image needs Debian's C libraries and nothing of the toolchain.
RUN for program in matriarch matriarch-guardian matriarchctl; do \
        swift build -c release --static-swift-stdlib --product "$program" || exit 1; \
        install -D -s ".build/release/$program" "/built/$program" || exit 1; \
    done \
    && ln -s matriarchctl /built/patronictl

FROM debian:bookworm-slim AS base
COPY packaging/container/entrypoint /usr/local/bin/matriarch-entrypoint
ENTRYPOINT ["matriarch-entrypoint"]

FROM base AS etcd
RUN apt-get update && apt-get install -y --no-install-recommends etcd-server curl && rm -rf /var/lib/apt/lists/* \
    && install -d -o etcd -g etcd -m 0700 /var/lib/etcd
USER etcd
VOLUME /var/lib/etcd
EXPOSE 2379 2380
CMD ["etcd"]

FROM base AS haproxy
RUN apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
USER haproxy
EXPOSE 5000 5001 7000
CMD ["haproxy"]

FROM base AS node
# Debian 12 has PostgreSQL 15; with another repository in the image, another version.
ARG PG_MAJOR=15
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-common \
    && sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
    && apt-get install -y --no-install-recommends "postgresql-$PG_MAJOR" \
        libpq5 libcurl4 libssl3 libyaml-0-2 libjansson4 libnss-wrapper curl tini \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o postgres -g postgres -m 0777 /var/lib/postgresql /run/matriarch \
    && chmod 1777 /var/lib/postgresql /run/matriarch /run/postgresql
COPY packaging/container/matriarch.yml /etc/matriarch/matriarch.yml
COPY --from=build /built/ /usr/local/bin/
USER postgres
VOLUME /var/lib/postgresql
EXPOSE 5432 8008
# The first process reaps what PostgreSQL's processes leave behind; the daemon is not it.
ENTRYPOINT ["tini", "--", "matriarch-entrypoint"]
CMD ["node"]
