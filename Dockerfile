ARG RUNTIME=debian:bookworm-slim

FROM rust:1-bookworm AS build
WORKDIR /src
# Dependencies first: they change less often than the code and stay in the cache.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock rust-toolchain.toml build.rs ./
COPY dialect/Cargo.toml dialect/
COPY templates/Cargo.toml templates/
RUN mkdir -p src dialect/src templates/src benches \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs dialect/src/lib.rs templates/src/lib.rs \
    && sed -i '/^\[\[bench\]\]/,/^$/d; /^\[\[test\]\]/,/^$/d' Cargo.toml \
    && cargo build --release --locked \
    && rm -r src dialect templates
COPY . .
ARG NINEROUTER_COMMIT=
ARG SOURCE_DATE_EPOCH=
# The stand-ins above are newer than the files copied over them.
RUN find src dialect templates build.rs -type f -exec touch {} + \
    && cargo build --release --locked \
    && strip target/release/ninerouter \
    && mkdir -m 0700 /data

# Any slim glibc base does; releases take the distroless `cc` image for non-root users.
FROM ${RUNTIME}
COPY --from=build /src/target/release/ninerouter /usr/local/bin/ninerouter
COPY --from=build --chown=65532:65532 /data /data
ENV DATA_DIR=/data HOSTNAME=0.0.0.0 PORT=20128 NINEROUTER_LOG_FORMAT=json
VOLUME /data
EXPOSE 20128
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/local/bin/ninerouter","healthcheck"]
ENTRYPOINT ["/usr/local/bin/ninerouter"]
CMD ["serve"]
