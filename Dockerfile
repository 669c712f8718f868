# The façade as an image: one static binary, the root certificates, nothing else.
#
#   docker build -t meeting-control .
#
# The same sources and builder give the same program; `buildah bud --timestamp 0` gives the same image as well.

# An image with cargo, a C compiler, glibc's static libraries and /etc/ssl/certs/ca-certificates.crt. Name a
# mirror, or a digest, with --build-arg BUILDER=…
ARG BUILDER=docker.io/library/rust:1.95.0-slim-bookworm

FROM ${BUILDER} AS build
WORKDIR /src
# Without glibc as a shared library, the image needs no base. glibc resolves names by file and DNS without one.
ENV RUSTFLAGS="-C target-feature=+crt-static"
# A C compiler puts the time of day into what asks for it, unless it is told which.
ENV SOURCE_DATE_EPOCH=0

# Crates first, with empty sources: this layer lasts until the manifest changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
 && echo '//! Empty.' > src/lib.rs \
 && printf '//! Empty.\nfn main() {}\n' > src/main.rs \
 && cp src/main.rs build.rs \
 && cargo build --locked --release --target "$(rustc --print host-tuple)" \
 && rm -r build.rs src

COPY build.rs ./
COPY proto proto
COPY src src
# The sources may be older than the empty ones before them.
RUN touch build.rs src/lib.rs src/main.rs \
 && target=$(rustc --print host-tuple) \
 && cargo build --locked --release --target "$target" \
 && install -D "target/$target/release/meeting-control" /image/usr/local/bin/meeting-control \
 && strip /image/usr/local/bin/meeting-control \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && echo 'nonroot:x:65532:65532::/:/' > /image/etc/passwd \
 && echo 'nonroot:x:65532:' > /image/etc/group

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="meeting-control" \
      org.opencontainers.image.description="A gRPC façade over one REST call of Huawei Cloud Meeting" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
# Huge pages would make every buffer count whole, however little of it is used.
ENV PATH=/usr/local/bin \
    MIMALLOC_ALLOW_THP=0
USER 65532:65532
EXPOSE 50051 9090
ENTRYPOINT ["/usr/local/bin/meeting-control"]
CMD ["serve"]
