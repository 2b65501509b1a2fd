# Builds the program and puts it alone into an image without a shell.
#
#   docker build -t mta-stsd .
#   docker run -p 443:443 -p 80:80 -v ./mta-stsd:/etc/mta-stsd:ro -v mta-stsd:/var/lib/mta-stsd mta-stsd

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --bin mta-stsd
# The store's folder with its mode, because the last stage has no shell to make one.
RUN mkdir -p /state && mkdir -m 0700 /state/mta-stsd

# The C library, its friends and the public roots, and nothing else; the same Debian as above.
FROM gcr.io/distroless/cc-debian12
COPY --from=build /source/target/dist/mta-stsd /usr/bin/mta-stsd
COPY --from=build --chown=65532:65532 /state/ /var/lib/
# A number, so that an orchestrator can see that it is not root. Ports below 1024 are open to every
# user in a container by default (net.ipv4.ip_unprivileged_port_start).
USER 65532:65532
VOLUME /var/lib/mta-stsd
EXPOSE 443 80
ENTRYPOINT ["/usr/bin/mta-stsd"]
CMD ["serve"]
