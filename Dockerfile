# Builds the program and puts it alone into an image without a shell.
#
#   docker build --build-arg COMMIT=$(git rev-parse --short=12 HEAD) -t mta-stsd .
#   docker run --read-only -p 443:443 -p 80:80 -v ./mta-stsd:/etc/mta-stsd:ro -v mta-stsd:/var/lib/mta-stsd mta-stsd

FROM rust:1.95-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /source
COPY . .
# What --version says; the repository itself is not sent to the builder.
ARG COMMIT
RUN MTA_STSD_COMMIT="$COMMIT" cargo build --locked --profile dist --bin mta-stsd
# What the image will hold: the program, the files of the C library that it is linked with, and the
# public roots that vouch for the authority. The store's folder is made here, because there is no
# shell to make one later.
RUN mkdir -p /image/usr/bin /image/etc/ssl/certs \
 && cp target/dist/mta-stsd /image/usr/bin/ \
 && ldd target/dist/mta-stsd | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /image \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && mkdir -p /state && mkdir -m 0700 /state/mta-stsd

FROM scratch
COPY --from=build /image/ /
COPY --from=build --chown=65532:65532 /state/ /var/lib/
# A number, so that an orchestrator can see that it is not root. Ports below 1024 are open to every
# user in a container by default (net.ipv4.ip_unprivileged_port_start).
USER 65532:65532
# The one place that is written to: everything else may be read-only.
VOLUME /var/lib/mta-stsd
EXPOSE 443 80
# Whether its loop still turns, asked over the status socket. A start may first check a large store.
HEALTHCHECK --interval=30s --timeout=15s --start-period=2m --retries=3 CMD ["/usr/bin/mta-stsd", "health"]
ENTRYPOINT ["/usr/bin/mta-stsd"]
CMD ["serve"]
